"""The recording as the model takes it: columns, runs without a gap, what is hidden."""
