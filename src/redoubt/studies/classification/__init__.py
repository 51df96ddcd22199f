"""The course's chapter on classification."""
