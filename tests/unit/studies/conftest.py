"""What the tests of the studies share: the course's data, and each study's quick result, once."""

import os
from collections.abc import Callable, Mapping
from functools import cache

import pytest

from redoubt.data.locate import MIRROR
from redoubt.studies.catalogue import find
from redoubt.studies.contract import Result
from redoubt.studies.given import Given
from tests.support.once import once, shared_folder

Run = Callable[[str], Result]
# Studies that take long, with as few rows and epochs as their claims bear; the others run at their quick sizes.
SMALL: Mapping[str, Mapping[str, int]] = {
    "defenses": {"epochs": 8, "queries": 100},
    "attacks": {"attacked": 100, "epochs": 10, "queries": 200, "steps": 100},
    "beyond": {"rounds": 2000, "episodes": 300, "runs": 3},
    "depth": {"epochs": 12, "held_out": 1000},
}


def result(name: str, *, course: bool) -> Result:
    study = find(name)
    return study.run(Given(course=course, seed=20), study.sizes(**SMALL.get(name, {})), 20)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A study's result at its quick size on the stand-ins."""
    folder = shared_folder(tmp_path_factory)
    return cache(lambda name: once(folder, f"study-{name}", lambda: result(name, course=False)))


@pytest.fixture(scope="session")
def course() -> Run:
    """A study's result at its quick size on the course's own data, where the mirror has it."""
    if not os.environ.get(MIRROR):
        pytest.skip(f"{MIRROR} is not set")
    return cache(lambda name: result(name, course=True))
