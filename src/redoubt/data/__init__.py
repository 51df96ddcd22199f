"""Where data comes from, what it must satisfy, how it is split, scaled and stored."""
