"""The virtual animal: drivers, generative network, realism."""
