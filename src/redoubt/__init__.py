"""Redoubt: from data to a served model whose resistance to attack was measured, not assumed."""

import os

# Read once, by the first import of Keras, which is this package's business only after this line.
os.environ["KERAS_BACKEND"] = "tensorflow"
