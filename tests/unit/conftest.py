"""Threats that are compiled once and tried many times."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from redoubt.core.types import Norm
from tests.support.tiny import IMAGE, NUMBER, TABLE, Case

if TYPE_CHECKING:
    # TensorFlow chatters where pytest does not listen: while it loads a conftest.
    from tests.support.threats import Threat


@pytest.fixture(scope="session")
def threats(trained: Callable[[str], Case]) -> "Callable[[str, Norm], Threat]":
    """A threat by the names of its task and norm."""
    from tests.support.threats import threaten

    return functools.cache(lambda name, norm: threaten(trained(name), norm))


# Every task and every norm, not each with each: an attack's graph takes a second to build for every pair.
PAIRS = [(IMAGE, "linf"), (TABLE, "l2"), (NUMBER, "linf")]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def threat(request: pytest.FixtureRequest, threats: "Callable[[str, Norm], Threat]") -> "Threat":
    """Some of them in turn."""
    return threats(*request.param)
