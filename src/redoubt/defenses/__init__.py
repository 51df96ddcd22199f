"""The guard: smoothing, squeezing, randomization, and the detector made of them."""
