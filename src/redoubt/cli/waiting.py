"""What a command says before its first result: imports take seconds, and a terminal that stays empty looks broken."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def saying(what: str) -> Iterator[None]:
    """Show a line while something takes its time, on a terminal alone: what is piped or logged never holds it."""
    watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if watched:
        print(f"{what}...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if watched:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def load_tensorflow() -> None:
    """Import TensorFlow, and say so meanwhile; before any module that imports it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with saying("loading TensorFlow"):
        from redoubt.quiet import import_tensorflow

        import_tensorflow()
