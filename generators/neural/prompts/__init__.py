"""Instructions for first frames."""
