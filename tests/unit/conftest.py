"""Threats that are compiled once and tried many times."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from redoubt.params import Norm
from tests.support.tiny import Case

if TYPE_CHECKING:
    # TensorFlow chatters where pytest does not listen: while it loads a conftest.
    from tests.support.threats import Threat


@pytest.fixture(scope="session")
def threats(trained: Callable[[str], Case]) -> "Callable[[str, Norm], Threat]":
    """A threat by the names of its task and norm."""
    from tests.support.threats import threaten

    return functools.cache(lambda name, norm: threaten(trained(name), norm))


@pytest.fixture(scope="module", params=["linf", "l2"])
def threat(request: pytest.FixtureRequest, case: Case, threats: "Callable[[str, Norm], Threat]") -> "Threat":
    """Each of them in turn."""
    return threats(case.name, request.param)
