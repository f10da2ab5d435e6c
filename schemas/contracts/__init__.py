"""What every artifact's dataset must look like; import each from its own module."""
