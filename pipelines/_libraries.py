"""Imports what most stages import, and nothing that starts a thread which a copy would miss, as ONNX Runtime does."""

import contextlib

from redoubt.quiet import import_tensorflow, no_stderr, uncollected

# What is missing or wrong is said by the stage that needs it.
with contextlib.suppress(Exception), no_stderr():
    import_tensorflow()
with contextlib.suppress(Exception), no_stderr(), uncollected():
    import redoubt.tracking.client  # noqa: F401
