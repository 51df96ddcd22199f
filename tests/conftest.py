"""What all tests share: a quiet TensorFlow that repeats itself, tiny trained networks, the project's own files."""

import functools
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from redoubt.core.pins import pin

# What is imported stays, as in `redoubt.quiet.uncollected`: nobody looks for dead objects among it, now or later.
gc.disable()
# As every stage does, before NumPy is imported: the numbers that stages come to, for a fifth less of the time.
pin()

from tests.support import tiny  # noqa: E402
from tests.support.once import once, shared_folder  # noqa: E402

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "DVC_NO_ANALYTICS": "1"}
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}

# The same examples on every run: red means that the code changed. Not timed: the first may import TensorFlow.
settings.register_profile("redoubt", deadline=None, derandomize=True)
settings.load_profile("redoubt")

ROOT = Path(__file__).resolve().parents[1]
# What takes longest begins first, so that no process waits for another one at the end.
FIRST = (
    "tests/pipelines/test_road.py",
    "tests/unit/training/",
    "tests/unit/studies/test_catalogue.py",
    "tests/unit/cli/attack/test_attack.py",
    "tests/unit/evaluation/",
    "tests/unit/attacks/",
    "tests/pipelines/",
    "tests/serving/",
)
# Folders whose tests share what takes long to make, and so a process: networks, attacks on them, or a running service.
TOGETHER = ("tests/unit/training/", "tests/unit/evaluation/", "tests/unit/attacks/", "tests/serving/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first."""

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT).as_posix()
        return next((place for place, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """All is imported."""
    gc.freeze()
    gc.enable()


class ByFile(LoadFileScheduling):
    """The tests of a file, or of a folder of TOGETHER, in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """In place of `--dist loadfile`."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def repeatable() -> None:
    """The same numbers on every run; a session that needs no TensorFlow does not wait for it."""
    if "tensorflow" in sys.modules:
        from redoubt.training.determinism import make_deterministic

        make_deterministic(20)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow whose tables are there already, to be copied: making them takes seconds."""
    folder = shared_folder(tmp_path_factory)

    def make() -> str:
        from redoubt.tracking.client import mlflow
        from redoubt.tracking.sync import sync

        path = folder / "mlflow.db"
        sync(folder / "no records", f"sqlite:///{path}")
        # Otherwise this process goes on logging to it.
        mlflow.set_tracking_uri("")
        mlflow.set_registry_uri("")
        return str(path)

    return Path(once(folder, "empty-store", make))


@pytest.fixture(scope="session")
def trained(repeatable: None) -> Callable[[str], tiny.Case]:
    """A tiny task by name, its network trained when first asked for."""
    return functools.cache(tiny.train)


@pytest.fixture(scope="module", params=tiny.NAMES)
def case(request: pytest.FixtureRequest, trained: Callable[[str], tiny.Case]) -> tiny.Case:
    """Each tiny task in turn."""
    return trained(request.param)


@pytest.fixture(scope="session")
def bundles(
    trained: Callable[[str], tiny.Case], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tiny.Guarded]:
    """A tiny task behind its guard by name, written when first asked for."""
    folder = tmp_path_factory.mktemp("bundles")
    return functools.cache(lambda name: tiny.guard(trained(name), folder / name))


@pytest.fixture(scope="module")
def guarded(case: tiny.Case, bundles: Callable[[str], tiny.Guarded]) -> tiny.Guarded:
    """Each of them in turn."""
    return bundles(case.name)
