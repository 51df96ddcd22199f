"""The course's chapter on attack and defense."""
