"""A simulated animal with a known causal graph, written as NWB."""
