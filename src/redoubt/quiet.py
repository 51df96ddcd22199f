"""Imports TensorFlow without its start-up chatter, which no log level silences."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

from redoubt.core.errors import SurroundingsError


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


# What Keras imports, where it is installed, for wrappers and galleries that nobody asks for here.
UNUSED_BY_KERAS = ("matplotlib", "sklearn")


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Make packages look as if they were not installed, unless they have been imported already."""
    absent: dict[str, Any] = {name: None for name in names if name not in sys.modules}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Make objects that stay: the garbage collector neither looks for dead ones meanwhile nor ever at these again.

    It would go through the hundreds of thousands that an import makes some twenty times, a fourth of its time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def import_tensorflow() -> None:
    """Import TensorFlow and Keras; call it before any module that imports them."""
    # They would take a fourth of the time.
    with no_stderr(), hidden(*UNUSED_BY_KERAS), uncollected():
        import keras  # noqa: F401
        import tensorflow as tf

    settle_keras()
    # Every attack compiles its own graph once; TensorFlow takes that for a mistake.
    tf.get_logger().setLevel("ERROR")


def settle_keras() -> None:
    """Make layers as this project means them, whatever the keras.json of another project on this machine says.

    Raises:
        SurroundingsError: Keras was imported with another backend than TensorFlow.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        raise SurroundingsError(
            f"Keras was imported with the backend {keras.config.backend()}; this project needs TensorFlow:"
            " import redoubt first, or set KERAS_BACKEND=tensorflow"
        )
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
