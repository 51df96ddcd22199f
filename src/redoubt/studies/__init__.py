"""The experiments of Hung-yi Lee's machine-learning course, one module each."""
