"""The course's chapter on gradient descent."""
