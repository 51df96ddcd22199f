"""Training that can be stopped at any moment, and what it keeps."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from redoubt.core.store import read_arrays, write_arrays
from redoubt.core.types import Batch
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.models.networks import build
from redoubt.params.settings.networks import Mlp
from redoubt.training import fit as module
from redoubt.training.fit import History, Plan, compile_network, fit, measure, on_rows, seconds_spent
from tests.support.methods import HARDENINGS, NATURAL, Ready, Training, Trainings, start
from tests.support.tiny import IMAGE, NUMBER, SCHEMAS, TABLE, rows

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


@pytest.mark.parametrize(
    ("saves", "killer"),
    [
        ("every-epoch", Killer(0, False)),
        ("every-epoch", Killer(4, True)),
        ("after-epoch-1", Killer(0, False)),
        ("after-epoch-1", Killer(4, True)),
    ],
    ids=str,
)
def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    trainings: Trainings, saves: str, killer: Killer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.npz"
    monkeypatch.setattr(module, "SAVE_EVERY_SECONDS", -1.0)
    save = module.ResumableCheckpoint.save
    if saves == "after-epoch-1":
        monkeypatch.setattr(
            module.ResumableCheckpoint, "save", lambda self: save(self) if len(self.history) == 2 else None
        )
    with pytest.raises(Killed):
        train(start(NATURAL, TABLE), state, killer)
    assert state.is_file() == (saves == "every-epoch" or killer.epoch > 1)
    same(train(start(NATURAL, TABLE), state), trainings(NATURAL, TABLE))


def test_a_state_tells_the_time_of_all_its_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, clock = tmp_path / "state.npz", iter(float(second) for second in range(0, 10_000, 10))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with pytest.raises(Killed):
        train(start(NATURAL, TABLE), state, Killer(1, False))
    first = seconds_spent(state)
    train(start(NATURAL, TABLE), state)
    assert 0 < first < seconds_spent(state)


def test_a_state_of_an_older_form_is_trained_anew(trainings: Trainings, tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    whole = trainings(NATURAL, TABLE)
    old = {name: value for name, value in read_arrays(whole.states[-1]).items() if name != module.SECONDS}
    write_arrays(state, old)
    same(train(start(NATURAL, TABLE), state), whole)
    assert seconds_spent(state) > 0


def emptied(state: Path) -> None:
    state.write_bytes(b"")


def halved(state: Path) -> None:
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])


def overwritten(state: Path) -> None:
    state.write_bytes(b"something else")


def robbed(state: Path) -> None:
    write_arrays(state, {name: value for name, value in read_arrays(state).items() if name != "optimizer_003"})


def of_another_network(state: Path) -> None:
    stored = read_arrays(state)
    write_arrays(state, stored | {"best_002": np.zeros((2, 2), np.float32)})


def of_a_longer_plan(state: Path) -> None:
    stored = read_arrays(state)
    best, history = json.loads(str(stored["history"]))
    write_arrays(state, stored | {"history": np.array(json.dumps([best, history * 2]))})


@pytest.mark.parametrize("damage", [emptied, halved, overwritten, robbed, of_another_network, of_a_longer_plan])
def test_a_damaged_state_is_named_and_changes_nothing(
    damage: Callable[[Path], None], trainings: Trainings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, ready = tmp_path / "state.npz", start(NATURAL, TABLE)
    shutil.copy(trainings(NATURAL, TABLE).states[-1], state)
    damage(state)
    ready.model.optimizer.build(ready.model.trainable_variables)
    before = [np.asarray(variable) for variable in (*ready.model.variables, *ready.model.optimizer.variables)]
    resumable = module.ResumableCheckpoint(ready.network, ready.validate, ready.plan, state)
    assert resumable.restore(ready.model) == 0
    after = [np.asarray(variable) for variable in (*ready.model.variables, *ready.model.optimizer.variables)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert (resumable.history, resumable.best_epoch) == ([], 0)
    assert f"{state} is damaged (" in capsys.readouterr().err
    assert not state.exists()


def test_after_a_damaged_state_the_training_is_that_of_a_clean_start(trainings: Trainings, tmp_path: Path) -> None:
    state, whole = tmp_path / "state.npz", trainings(NATURAL, TABLE)
    shutil.copy(whole.states[-1], state)
    halved(state)
    same(train(start(NATURAL, TABLE), state), whole)
    same(train(replace(start(NATURAL, TABLE), validate=never), state), whole)


# Each method on one task, on which `test_contract` looks at it too.
ON = dict(zip((NATURAL, *HARDENINGS), cycle((TABLE, IMAGE, NUMBER)), strict=False))
ON |= {"two-norms": IMAGE, "averaged": IMAGE}


@pytest.mark.parametrize(("method", "task"), ON.items(), ids=str)
def test_killed_after_any_epoch_every_method_ends_with_the_same_weights(
    trainings: Trainings, method: str, task: str, tmp_path: Path
) -> None:
    whole, ready, state = trainings(method, task), start(method, task), tmp_path / "state.npz"
    assert len(whole.states) == ready.plan.epochs
    # While eps rises in a process of its own; then, to spare compilations, in one whose variables stand elsewhere.
    for epoch in (1, 8):
        shutil.copy(whole.states[epoch], state)
        same(train(ready, state), whole)


@pytest.mark.parametrize(("method", "task"), ON.items(), ids=str)
def test_a_finished_training_is_not_done_twice(trainings: Trainings, method: str, task: str, tmp_path: Path) -> None:
    whole, ready, state = trainings(method, task), start(method, task), tmp_path / "state.npz"
    shutil.copy(whole.states[-1], state)
    same(train(replace(ready, validate=never), state, Killer(0, True)), whole)
    assert state.is_file()


def never() -> dict[str, float]:
    raise AssertionError("it was measured again")


@pytest.mark.parametrize(("method", "task"), [(NATURAL, TABLE), ("pgd", IMAGE)], ids=str)
def test_two_trainings_are_the_same_bit_by_bit(trainings: Trainings, method: str, task: str) -> None:
    same(train(start(method, task)), trainings(method, task))


def train(
    ready: Ready, state: Path | None = None, progress: keras.callbacks.Callback | None = None
) -> tuple[list[np.ndarray], History]:
    plan = ready.plan
    history = fit(ready.model, ready.network, ready.train, ready.validate, plan, checkpoint=state, progress=progress)
    return ready.network.get_weights(), history


def same(found: tuple[list[np.ndarray], History], expected: Training) -> None:
    assert found[1] == expected.history
    assert all(np.array_equal(a, b) for a, b in zip(found[0], expected.weights, strict=True))


def test_states_are_saved_only_so_often(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(start(NATURAL, TABLE), tmp_path / "state.npz", Killer(5, False))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=12)
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


@settings(max_examples=6)
@given(count=st.integers(1, 20), batch=st.integers(1, 25), replays=st.integers(1, 4), first=st.integers(0, 2))
def test_replays_give_the_same_batches_several_times_in_a_row(count: int, batch: int, replays: int, first: int) -> None:
    train = Batch(np.arange(count, dtype=np.float32)[:, None], np.arange(count))
    plan = Plan(epochs=3, batch_size=batch, learning_rate=0.1, seed=5)
    once = [y.numpy() for _, y in module._epochs(train, plan, first)]
    again = [y.numpy() for _, y in module._epochs(train, replace(plan, replays=replays), first)]
    assert len(again) == replays * len(once) == replace(plan, replays=replays).updates(count) * (3 - first)
    assert all(np.array_equal(again[i], once[i // replays]) for i in range(len(again)))


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
    network = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(2.0)])
    batch = Batch(np.arange(5000, dtype=np.float32)[:, None], 2 * np.arange(5000, dtype=np.float32))
    assert on_rows(network, batch)() == {"loss": 0.0, "mae": 0.0}
