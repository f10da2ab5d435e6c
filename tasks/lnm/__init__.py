"""The large neural model: one model over all streams."""
