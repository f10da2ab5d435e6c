"""One self-contained HTML page a session."""
