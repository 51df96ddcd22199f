from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.bundle.column import Missing
from redoubt.compute import spread
from redoubt.core.types import Batch
from redoubt.data.prepare.scaling import fit
from redoubt.data.shared.kept_together import learnt
from redoubt.evaluation.cache import EvaluationCache
from redoubt.params.settings.networks import Cnn, Linear, Mlp
from redoubt.params.settings.sections import SweepParams
from redoubt.training import sweep as module
from redoubt.training.fit import Plan
from redoubt.training.folds import FoldTrainer
from redoubt.training.sweep import (
    Arrays,
    Folds,
    Point,
    SweepError,
    best_epoch,
    cross_validate,
    describe,
    grid,
    score,
    winner,
)
from tests.support.tiny import COLUMNS, IMAGE, NUMBER, SCHEMAS, TABLE, rows

LINEAR, MLP = Linear(kind="linear"), Mlp(kind="mlp", units=(8, 4), dropout=0.25)


def test_the_grid_holds_every_combination_in_the_order_of_the_file() -> None:
    params = SweepParams(batch_size=(16, 64), learning_rate=(0.1, 0.2), models=(LINEAR, MLP), epochs=3)
    points = grid(params)
    assert len(points) == len(set(points)) == 8
    assert points[:3] == [Point(LINEAR, 16, 0.1), Point(LINEAR, 16, 0.2), Point(LINEAR, 64, 0.1)]
    assert points[-1] == Point(MLP, 64, 0.2)


@pytest.mark.parametrize(
    ("model", "outputs", "name"),
    [
        (LINEAR, 1, "linear"),
        (LINEAR, 2, "logistic"),
        (LINEAR, 3, "softmax"),
        (MLP, 2, "mlp 8-4 dropout 0.25"),
        (Cnn(kind="cnn", filters=(16, 32), units=(64,)), 10, "cnn 16-32-64"),
    ],
)
def test_models_are_named_in_the_fields_terms(model: Linear | Mlp | Cnn, outputs: int, name: str) -> None:
    assert describe(model, outputs) == name


@pytest.mark.parametrize(
    "change", [{"kernel": 5}, {"pooling": "stride"}, {"units": (8,)}, {"filters": (8,)}, {"dropout": 0.5}], ids=str
)
def test_models_that_differ_have_names_that_differ(change: dict[str, object]) -> None:
    """A sweep's runs and the bars of its figure are told apart by them."""
    model = Cnn(kind="cnn", filters=(16,), units=(64,))
    assert describe(model, 10) != describe(model.model_copy(update=change), 10)


def curve(*losses: float) -> list[dict[str, float]]:
    return [{"val_loss": loss, "epoch": index} for index, loss in enumerate(losses)]


def test_a_point_is_scored_by_the_mean_of_its_folds_best_epochs() -> None:
    assert best_epoch(curve(3, 1, 2)) == {"val_loss": 1, "epoch": 1}
    assert score([curve(3, 1, 2), curve(5, 6)]) == 3.0


@pytest.mark.parametrize("losses", [(float("nan"), 1.0), (1.0, float("nan")), (float("inf"), 1.0)], ids=str)
def test_an_epoch_that_diverged_is_never_the_best(losses: tuple[float, float]) -> None:
    assert best_epoch(curve(*losses))["val_loss"] == 1.0


def test_a_point_that_diverged_never_wins() -> None:
    scores = [score([curve(float("nan")), curve(0.1)]), score([curve(2.0), curve(2.0)]), score([curve(3.0)])]
    assert winner(scores) == 1


def test_a_sweep_without_a_winner_says_so() -> None:
    with pytest.raises(SweepError, match="validation loss of every point .* lower sweep.learning_rate"):
        winner([score([curve(float("nan"))]), score([curve(float("inf"))])])


@pytest.mark.timeout(200)
def test_the_sweep_finds_the_better_point_and_repeats_itself_in_any_process() -> None:
    batch = rows(TABLE, 120)
    fold = np.arange(len(batch)) % 2
    scalers = [fit(batch.take(np.flatnonzero(fold != number)), SCHEMAS[TABLE]) for number in (0, 1)]
    folds = Folds(batch, fold, scalers)
    bad, good = Point(MLP, 16, 1e-6), Point(MLP, 16, 0.02)
    results = spread(cross_validate, [(point, folds, SCHEMAS[TABLE], 6, 1) for point in (bad, good, good)], "sweep")
    assert [[len(each) for each in curves] for curves in results] == [[6, 6]] * 3
    assert results[1] == results[2]
    assert score(results[1]) < score(results[0])
    assert results[1][0] != results[1][1], "both folds were trained on the same rows"


def test_folds_that_are_done_are_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, cache = rows(TABLE, 60), EvaluationCache(tmp_path)
    scaler = fit(batch, SCHEMAS[TABLE])
    folds = Folds(batch, np.arange(60) % 3, [scaler, scaler, scaler])
    trained: list[module.Fold] = []

    def counted(fold: module.Fold, trainer: object) -> module.Arrays:
        trained.append(fold)
        if len(trained) == 3:
            raise KeyboardInterrupt
        found = {"loss": len(fold.train) / 7, "val_loss": 0.1 / 3 + len(trained)}
        return {name: np.array([value, np.nan]) for name, value in found.items()}

    monkeypatch.setattr(module, "_train", counted)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(Point(MLP, 16, 0.1), folds, SCHEMAS[TABLE], 2, 5, cache.remember)
    first, again = (cross_validate(Point(MLP, 16, 0.1), folds, SCHEMAS[TABLE], 2, 5, cache.remember) for _ in "12")
    assert str(first) == str(again)
    assert [list(curve[0]) for curve in first] == [["loss", "val_loss"]] * 3
    assert [curve[0]["val_loss"] for curve in first] == [0.1 / 3 + 1, 0.1 / 3 + 2, 0.1 / 3 + 4]
    assert len(trained) == 4
    others: list[tuple[Point, int, int]] = [(Point(MLP, 32, 0.1), 2, 5), (Point(LINEAR, 16, 0.1), 2, 5)]
    others += [(Point(MLP, 16, 0.1), 1, 5), (Point(MLP, 16, 0.1), 2, 6)]
    for point, epochs, seed in others:
        cross_validate(point, folds, SCHEMAS[TABLE], epochs, seed, cache.remember)
    assert len(trained) == 4 + 3 * len(others)


@pytest.mark.timeout(200)
def test_folds_share_what_was_traced_and_nothing_else() -> None:
    """Each fold trains as it would alone, whichever were trained before it with the same network.

    In the processes of a sweep: threads are set before TensorFlow first computes.
    """
    tasks = (TABLE, NUMBER, IMAGE)
    for task, (together, alone) in zip(tasks, spread(last_fold, [(task,) for task in tasks], "folds"), strict=True):
        assert together == alone, task


def last_fold(task: str) -> tuple[Any, Any]:
    """The curve of a point's last fold, trained after the others and by itself."""
    batch, fold = rows(task, 60), np.arange(60) % 3
    scalers = [fit(batch.take(np.flatnonzero(fold != number)), SCHEMAS[task]) for number in range(3)]
    together = cross_validate(Point(MLP, 16, 0.1), Folds(batch, fold, scalers), SCHEMAS[task], 2, 5)
    trainer = FoldTrainer(MLP, SCHEMAS[task], Plan(epochs=2, batch_size=16, learning_rate=0.1, seed=5))
    train, validation = (batch.take(np.flatnonzero(part)) for part in (fold != 2, fold == 2))
    return together[2], trainer.train(scalers[2], train, validation, None)


@pytest.mark.parametrize("in_time", [False, True])
def test_a_fold_knows_nothing_of_what_it_holds_out(in_time: bool) -> None:
    """Neither by what fills in empty cells nor, of folds in time, by later rows."""
    columns = (COLUMNS[0].model_copy(update={"missing": Missing(how="mean")}), *COLUMNS[1:])
    schema, batch = SCHEMAS[TABLE].model_copy(update={"columns": columns}), rows(TABLE, 90)
    x = batch.x.copy()
    x[::7, 0] = np.nan
    fold = np.arange(90) // 30 - 1 if in_time else np.arange(90) % 3
    fitted = [np.flatnonzero(learnt(fold, number)) for number in range(2 if in_time else 3)]
    scalers = [fit(Batch(x[each], batch.y[each]), schema) for each in fitted]
    given: list[Arrays] = []

    def remember(key: Mapping[str, Any], arrays: Arrays, compute: Callable[[], Arrays]) -> Arrays:
        given.append(arrays)
        return {"val_loss": np.ones(1)}

    cross_validate(Point(LINEAR, 16, 0.1), Folds(Batch(x, batch.y), fold, scalers), schema, 1, 0, remember)
    for number, (each, arrays) in enumerate(zip(fitted, given, strict=True)):
        if in_time:
            assert each.max() < np.flatnonzero(fold == number).min()
        mean = np.float32(np.nanmean(x[each, 0].astype(float)))
        for name, places in (("train_x", each), ("x", np.flatnonzero(fold == number))):
            assert np.array_equal(arrays[name][:, 0], np.where(np.isnan(x[places, 0]), mean, x[places, 0]))
    assert len({scaler.fill[0] for scaler in scalers if scaler.fill is not None}) == len(scalers)
