"""Trainings that several tests look at, each done once."""

import functools
import shutil
from pathlib import Path
from typing import Any

import keras
import pytest

from redoubt.training import fit as module
from redoubt.training.fit import fit
from tests.support.methods import Training, Trainings, start


class Copies(keras.callbacks.Callback):
    """Keeps what a process killed after each epoch would have left."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self.state = state
        self.kept: list[Path] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.kept.append(self.state.with_name(f"after-{epoch}.npz"))
        shutil.copy(self.state, self.kept[-1])


@pytest.fixture(scope="session")
def trainings(repeatable: None, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """A training by its method and task, done when first asked for."""

    def train(method: str, task: str) -> Training:
        ready, copies = start(method, task), Copies(tmp_path_factory.mktemp(f"{method}-{task}") / "state.npz")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "SAVE_EVERY_SECONDS", -1.0)
            history = fit(
                ready.model,
                ready.network,
                ready.train,
                ready.validate,
                ready.plan,
                checkpoint=copies.state,
                progress=copies,
            )
        return Training(ready, ready.network.get_weights(), history, copies.kept)

    return functools.cache(train)
