"""The environment that commands of a user's start in."""

import os

from redoubt.core.pins import INSTRUCTIONS, THREADS


def unpinned() -> dict[str, str]:
    """This process's environment without what the tests, like every stage, pin for themselves."""
    return {name: value for name, value in os.environ.items() if name not in THREADS and name not in INSTRUCTIONS}
