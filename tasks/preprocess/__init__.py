"""Each kind of stream cleaned in its own way."""
