"""What answers are worth: metrics, intervals, verdicts."""
