"""The course's chapter on deep learning."""
