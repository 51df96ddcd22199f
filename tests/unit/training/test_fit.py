"""Training that can be stopped at any moment, and what it keeps."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import Untargeted
from redoubt.attacks.gradient import PGD
from redoubt.data.scaling import fit as fit_scaler
from redoubt.models.networks import build
from redoubt.params import Cnn, Mlp
from redoubt.tasks import PIXELS, Batch
from redoubt.training import fit as module
from redoubt.training.adversarial import AdversarialTrainer, on_attacked_rows, ramp_for
from redoubt.training.fit import History, Plan, compile_network, fit, measure, on_rows
from tests.tiny import IMAGE, NUMBER, SCHEMAS, TABLE, rows

PLAN = Plan(epochs=6, batch_size=32, learning_rate=0.02, decay=True, seed=3)


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@dataclass
class Killer(keras.callbacks.Callback):
    """Ends the process, as it were, in an epoch: before its first batch, or after all else is done."""

    epoch: int
    at_start: bool

    def __post_init__(self) -> None:
        super().__init__()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.at_start and epoch == self.epoch:
            raise Killed

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.at_start and epoch == self.epoch:
            raise Killed


Train = Callable[[Path | None, keras.callbacks.Callback | None], tuple[list[np.ndarray], History]]


def natural(checkpoint: Path | None, progress: keras.callbacks.Callback | None) -> tuple[list[np.ndarray], History]:
    train = rows(TABLE, 120)
    model = Mlp(kind="mlp", units=(8,), dropout=0.4)
    network = build(model, SCHEMAS[TABLE], fit_scaler(train, SCHEMAS[TABLE]), seed=1)
    compile_network(network, PLAN, len(train), 2)
    validate = on_rows(network, rows(TABLE, 60, seed=1))
    history = fit(network, network, train, validate, PLAN, checkpoint=checkpoint, progress=progress)
    return network.get_weights(), history


def adversarial(checkpoint: Path | None, progress: keras.callbacks.Callback | None) -> tuple[list[np.ndarray], History]:
    train = rows(IMAGE, 120)
    model = Cnn(kind="cnn", filters=(3,), units=(6,), dropout=0.4)
    network = build(model, SCHEMAS[IMAGE], fit_scaler(train, SCHEMAS[IMAGE]), seed=1)
    problem, attack = Problem(of_network(network), Untargeted(), "l2", PIXELS), PGD(steps=2)
    ramp = ramp_for(0.5, 0.4, PLAN.epochs, len(train), PLAN.batch_size)
    trainer = AdversarialTrainer(network, problem, attack, ramp, PLAN.seed)
    compile_network(trainer, PLAN, len(train), 3)
    validate = on_attacked_rows(network, problem, attack, 0.5, rows(IMAGE, 60, seed=1))
    history = fit(trainer, network, train, validate, PLAN, checkpoint=checkpoint, progress=progress)
    return network.get_weights(), history


TRAININGS: dict[str, Train] = {"natural": natural, "adversarial": adversarial}


@functools.cache
def whole(training: str) -> tuple[list[np.ndarray], History]:
    """What a training gives when nothing stops it."""
    return TRAININGS[training](None, None)


@pytest.mark.parametrize(
    ("training", "saves", "killer"),
    [
        ("natural", "every-epoch", Killer(0, False)),
        ("natural", "every-epoch", Killer(3, False)),
        ("natural", "every-epoch", Killer(4, True)),
        ("natural", "every-epoch", Killer(5, False)),
        ("natural", "after-epoch-1", Killer(0, False)),
        ("natural", "after-epoch-1", Killer(4, True)),
        ("adversarial", "every-epoch", Killer(1, False)),
        ("adversarial", "after-epoch-1", Killer(4, True)),
    ],
    ids=str,
)
def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    training: str, saves: str, killer: Killer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.npz"
    monkeypatch.setattr(module, "SAVE_EVERY_SECONDS", -1.0)
    save = module.Journal.save
    if saves == "after-epoch-1":
        monkeypatch.setattr(module.Journal, "save", lambda self: save(self) if len(self.history) == 2 else None)
    with pytest.raises(Killed):
        TRAININGS[training](state, killer)
    assert state.is_file() == (saves == "every-epoch" or killer.epoch > 1)
    same(TRAININGS[training](state, None), whole(training))
    assert not state.exists(), "a state that is left over would be resumed by the next training"


@pytest.mark.parametrize("training", TRAININGS)
def test_two_trainings_are_the_same_bit_by_bit(training: str) -> None:
    same(TRAININGS[training](None, None), whole(training))


def same(found: tuple[list[np.ndarray], History], expected: tuple[list[np.ndarray], History]) -> None:
    assert found[1] == expected[1]
    assert all(np.array_equal(a, b) for a, b in zip(found[0], expected[0], strict=True))


def test_states_are_saved_only_so_often(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        natural(tmp_path / "state.npz", Killer(5, False))
    assert list(tmp_path.iterdir()) == []


@dataclass
class Script:
    """Validation losses known beforehand, and the weights that stood when each was asked for."""

    network: keras.Model
    losses: list[float]

    def __post_init__(self) -> None:
        self.seen: list[list[np.ndarray]] = []

    def __call__(self) -> dict[str, float]:
        self.seen.append(self.network.get_weights())
        return {"loss": self.losses[len(self.seen) - 1]}


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
    train = rows(TABLE, 40)
    network = build(Mlp(kind="mlp", units=(2,)), SCHEMAS[TABLE], fit_scaler(train, SCHEMAS[TABLE]), seed=1)
    plan = Plan(epochs=len(losses), batch_size=20, learning_rate=0.01, patience=patience)
    compile_network(network, plan, len(train), 2)
    script = Script(network, losses)
    history = fit(network, network, train, script, plan)
    assert len(history) == len(script.seen) == trained
    assert [epoch["val_loss"] for epoch in history] == pytest.approx(losses[:trained], nan_ok=True)
    assert {"loss", "accuracy", "val_loss"} == set(history[0])
    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), script.seen[best], strict=True))
    assert not np.array_equal(script.seen[0][3], script.seen[1][3]), "nothing was learned"


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 40), batch=st.integers(1, 50), epochs=st.integers(1, 4), first=st.integers(0, 3))
def test_every_epoch_sees_every_row_once_in_an_order_of_its_own(
    count: int, batch: int, epochs: int, first: int
) -> None:
    train = Batch(np.arange(count, dtype=np.float32)[:, None], np.arange(count))
    plan = Plan(epochs=first + epochs, batch_size=batch, learning_rate=0.1, seed=5)
    seen = list(module._epochs(train, plan, 0))
    steps = -(-count // batch)
    assert len(seen) == steps * plan.epochs
    assert all(np.array_equal(x[:, 0], y) for x, y in seen)
    orders = [np.concatenate([y for _, y in seen[i * steps : (i + 1) * steps]]) for i in range(plan.epochs)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    later = [y for _, y in module._epochs(train, plan, first)]
    assert np.array_equal(np.concatenate(later), np.concatenate(orders[first:]))
    if count > 20 and plan.epochs > 1:
        assert not np.array_equal(orders[0], orders[1])
        other = next(iter(module._epochs(train, replace(plan, seed=6), 0)))[1]
        assert batch == 1 or not np.array_equal(other, seen[0][1])


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_batches_run_together_only_in_numbers_that_divide_an_epoch(batch_size: int) -> None:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    compile_network(network, Plan(epochs=1, batch_size=batch_size, learning_rate=0.1), 100, 1)
    steps = -(-100 // batch_size)
    assert steps % network.steps_per_execution == 0
    assert network.steps_per_execution > 1 or steps == 1


def test_a_decaying_rate_ends_at_0() -> None:
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    compile_network(network, replace(PLAN, learning_rate=0.5), 120, 1)
    rates = [float(network.optimizer._learning_rate(step)) for step in (0, 12, 24)]
    assert rates == pytest.approx([0.5, 0.25, 0.0], abs=1e-6)


@given(st.integers(1, 40), st.integers(2, 4), st.integers(0, 99))
def test_measures_of_classes(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Also logits whose probabilities are 0 and 1 in float32.
    logits = (rng.normal(size=(count, classes)) * 10.0 ** rng.integers(0, 4)).astype(np.float32)
    y = rng.integers(classes, size=count)
    found = measure(logits, Batch(logits, y))
    exact = logits.astype(float) - logits.max(axis=1, keepdims=True)
    chances = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    assert found["accuracy"] == np.mean(logits.argmax(axis=1) == y)
    if chances[np.arange(count), y].min() > 1e-12:
        assert found["loss"] == pytest.approx(log_loss(y, chances, labels=range(classes)), rel=1e-6, abs=1e-9)
    assert np.isfinite(found["loss"])


def test_measures_of_numbers_are_keras_own() -> None:
    batch = rows(NUMBER, 300)
    network = build(Mlp(kind="mlp", units=(4,)), SCHEMAS[NUMBER], fit_scaler(batch, SCHEMAS[NUMBER]), seed=1)
    compile_network(network, PLAN, len(batch), 1)
    expected = network.evaluate(batch.x, batch.y, batch_size=300, verbose=0, return_dict=True)
    assert on_rows(network, batch)() == pytest.approx(expected, rel=1e-5)


def test_rows_are_measured_in_parts_of_any_number() -> None:
    x = np.zeros((5000, 1), np.float32)
    assert [len(part) for part in module.parts(x)] == [2048, 2048, 904]
    network = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(2.0)])
    batch = Batch(np.arange(5000, dtype=np.float32)[:, None], 2 * np.arange(5000, dtype=np.float32))
    assert on_rows(network, batch)() == {"loss": 0.0, "mae": 0.0}
