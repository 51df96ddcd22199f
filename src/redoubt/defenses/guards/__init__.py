"""The guard and its parts: smoothing by the median, squeezing, randomization."""
