"""From a session to a trained model."""
