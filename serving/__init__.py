"""The service that answers for every promoted task; imports no TensorFlow, DVC or Great Expectations."""

import importlib.util
import sys
from pathlib import Path


def _found() -> bool:
    """Whether the part of `redoubt` that is needed can be imported; any folder of that name can be, but is empty."""
    try:
        return importlib.util.find_spec("redoubt.bundle") is not None
    except ModuleNotFoundError:
        return False


# A bento and the slim image carry src/redoubt/bundle beside serving/ and do not install the package.
if not _found():
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
