"""Imports TensorFlow without its start-up chatter, which no log level silences."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Send what native code writes to standard error nowhere; Python exceptions still surface."""
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


def import_tensorflow() -> None:
    """Import TensorFlow and Keras; call it before any module that imports them."""
    with no_stderr():
        import keras  # noqa: F401
        import tensorflow as tf

    # Every attack compiles its own graph once; TensorFlow takes that for a mistake.
    tf.get_logger().setLevel("ERROR")
