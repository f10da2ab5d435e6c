"""All streams on one time axis, with what is valid."""
