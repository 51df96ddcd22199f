"""The course's chapter on convolutional networks."""
