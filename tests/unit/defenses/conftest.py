"""Every tiny task's network behind its guard, as a bundle on disk."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from redoubt.defenses.bundle import write_bundle
from redoubt.defenses.guard import configure
from redoubt.defenses.guarded import GuardedModel
from tests.tiny import GUARDS, Case, rows


@dataclass(frozen=True)
class Guarded:
    """A tiny task, its guarded model and the inputs that the detector was calibrated on."""

    case: Case
    folder: Path
    model: GuardedModel


@pytest.fixture(scope="session")
def bundles(trained: Callable[[str], Case], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Guarded]:
    @functools.cache
    def make(name: str) -> Guarded:
        case, folder = trained(name), tmp_path_factory.mktemp("models") / name
        config = configure(GUARDS[name], case.schema, case.scaler.bounds(case.schema), case.scaler.target_std)
        write_bundle(folder, case.network, case.schema, config, rows(name, 300, seed=2).x)
        return Guarded(case, folder, GuardedModel.load(folder))

    return make


@pytest.fixture(scope="module")
def guarded(case: Case, bundles: Callable[[str], Guarded]) -> Guarded:
    """Each of them in turn."""
    return bundles(case.name)
