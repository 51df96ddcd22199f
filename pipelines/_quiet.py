"""Imported first by every stage that uses TensorFlow."""

from redoubt.quiet import import_tensorflow

import_tensorflow()
