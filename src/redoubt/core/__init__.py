"""What every room may use: errors, types, pinned instruction sets, surroundings and files written whole."""
