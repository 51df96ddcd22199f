"""The course's chapter on what lies beyond the course's core."""
