"""The course's chapter on where the error comes from."""
