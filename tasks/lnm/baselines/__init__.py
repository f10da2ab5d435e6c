"""What the model is measured against, and which of it is the bar."""
