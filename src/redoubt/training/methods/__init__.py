"""The training methods, one objective per file."""
