"""The course's chapter on regression."""
