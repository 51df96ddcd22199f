"""When a training ends, and which epoch's weights it leaves: validation figures known beforehand."""

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.core.types import Batch
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.models.networks import build
from redoubt.params.settings.networks import Mlp
from redoubt.training.fit import History, Plan, collapsed, compile_network, fit
from tests.support.tiny import SCHEMAS, TABLE, rows

PLAYED = Plan(epochs=1, batch_size=20, learning_rate=0.01)


@dataclass
class Script:
    """Validation figures known beforehand, and the weights that stood when each was asked for."""

    network: keras.Model
    losses: list[float]
    held_out: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen: list[list[np.ndarray]] = []

    def __call__(self) -> dict[str, float]:
        epoch = len(self.seen)
        self.seen.append(self.network.get_weights())
        return {"loss": self.losses[epoch]} | ({"held_out": self.held_out[epoch]} if self.held_out else {})


def play(
    losses: list[float], patience: int | None, held_out: list[float], state: Path | None = None
) -> tuple[Script, History]:
    """Train by a script; afterwards its network has the best weights."""
    batch, network, begin = untrained()
    for variable, value in begin:
        variable.assign(value)
    plan = replace(PLAYED, epochs=len(losses), patience=patience)
    script = Script(network, losses, held_out)
    return script, fit(network, network, batch, script, plan, checkpoint=state)


@functools.cache
def untrained() -> tuple[Batch, keras.Model, list[tuple[Any, np.ndarray]]]:
    """Rows, a network compiled once for all scripts, and each of its and its optimizer's variables as it begins."""
    batch = rows(TABLE, 40)
    network = build(Mlp(kind="mlp", units=(2,)), SCHEMAS[TABLE], fit_scaler(batch, SCHEMAS[TABLE]), seed=1)
    compile_network(network, PLAYED, len(batch), 2)
    network.optimizer.build(network.trainable_variables)
    variables = [*network.variables, *network.optimizer.variables]
    return batch, network, [(variable, np.array(variable)) for variable in variables]


def has_weights_of(script: Script, epoch: int) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(script.network.get_weights(), script.seen[epoch], strict=True))


@pytest.mark.parametrize(
    ("losses", "patience", "trained", "best"),
    [
        ([5, 4, 3, 2, 1], 2, 5, 4),
        ([5, 4, 3, 4, 5, 1], 2, 5, 2),
        ([5, 4, 4, 4, 1], 2, 4, 1),
        ([5, 6, 4, 5, 3], 2, 5, 4),
        ([1, 2, 3, 4, 5], None, 5, 0),
        ([3, float("nan"), 2, 5, 5], 3, 5, 2),
        ([float("nan"), 3, 2, 5, 5], 3, 5, 2),
    ],
    ids=["falling", "rises-again", "no-better", "in-time", "no-patience", "nan-between", "nan-first"],
)
def test_patience_ends_it_and_the_best_weights_stay(
    losses: list[float], patience: int | None, trained: int, best: int
) -> None:
    script, history = play(losses, patience, [])
    assert len(history) == len(script.seen) == trained
    assert [epoch["val_loss"] for epoch in history] == pytest.approx(losses[:trained], nan_ok=True)
    assert {"loss", "accuracy", "val_loss"} == set(history[0])
    assert has_weights_of(script, best)
    assert not np.array_equal(script.seen[0][3], script.seen[1][3]), "nothing was learned"


@pytest.mark.parametrize(
    ("held_out", "gone"),
    [
        ([], False),
        ([0.9], False),
        ([0.2, 0.9], False),
        ([0.8, 0.41], False),
        ([0.8, 0.4], False),
        ([0.8, 0.39], True),
        ([0.8, 0.9, 0.44], True),
        ([0.8, 0.0, 0.8], False),
        ([0.0, 0.0], False),
    ],
    ids=str,
)
def test_a_collapse_is_the_loss_of_more_than_half_of_the_best_held_out_share(held_out: list[float], gone: bool) -> None:
    history = [{"val_loss": 1.0, "val_held_out": share} for share in held_out]
    assert collapsed(history) == gone
    assert not collapsed([{"val_loss": 1.0, "val_pgd": share} for share in held_out]), "nobody watched"


@pytest.mark.parametrize(
    ("losses", "held_out", "trained", "best"),
    [
        ([5, 4, 3, 6, 1], [0.5, 0.8, 0.9, 0.1, 0.9], 4, 2),
        ([5, 4, 3, 2, 1], [0.5, 0.8, 0.9, 0.1, 0.9], 4, 3),
        ([5, 4, 3, 2, 1], [0.5, 0.8, 0.9, 0.45, 0.9], 5, 4),
    ],
    ids=["worse", "unseen-by-validation", "half"],
)
def test_a_collapse_ends_it_and_the_best_weights_stay(
    losses: list[float], held_out: list[float], trained: int, best: int
) -> None:
    script, history = play(losses, None, held_out)
    assert [epoch["val_held_out"] for epoch in history] == held_out[:trained]
    assert has_weights_of(script, best)


@pytest.mark.parametrize(
    ("patience", "held_out"), [(1, []), (None, [0.8, 0.9, 0.1, 0.9, 0.9])], ids=["no-patience-left", "collapse"]
)
def test_a_training_that_ended_early_is_not_taken_up_again(
    patience: int | None, held_out: list[float], tmp_path: Path
) -> None:
    losses = [5.0, 4.0, 6.0, 1.0, 1.0]
    script, history = play(losses, patience, held_out, tmp_path / "state.npz")
    again, same_history = play(losses, patience, held_out, tmp_path / "state.npz")
    assert len(history) == 3
    assert same_history == history
    assert again.seen == []
    assert all(np.array_equal(a, b) for a, b in zip(again.network.get_weights(), script.seen[1], strict=True))
