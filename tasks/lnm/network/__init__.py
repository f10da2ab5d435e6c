"""The network, its windows, and the distributions it predicts."""
