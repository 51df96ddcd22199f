"""Imported first by every stage that uses TensorFlow: help and mistakes come before the slow import."""

import sys

from pipelines._stage import arguments
from redoubt.quiet import import_tensorflow

_started = getattr(sys.modules["__main__"], "__spec__", None)
if _started is not None and _started.name.startswith("pipelines."):
    arguments(_started.name.removeprefix("pipelines."))
import_tensorflow()
