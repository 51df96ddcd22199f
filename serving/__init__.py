"""The service that answers for every promoted task; imports no TensorFlow, DVC or Great Expectations."""

import importlib.util
import sys
from pathlib import Path

# A bento and the slim image carry src/ beside serving/ and do not install the package.
if importlib.util.find_spec("redoubt") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
