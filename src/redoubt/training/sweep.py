"""The grid search: every point by N-fold cross-validation, the winner by its mean validation loss."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch
from redoubt.data.prepare.scaling import Scaler
from redoubt.data.shared.kept_together import learnt
from redoubt.params.settings.base import Balance, Strict
from redoubt.params.settings.networks import Cnn, Linear, ModelParams
from redoubt.params.settings.sections import SweepParams
from redoubt.quiet import import_tensorflow
from redoubt.training.balance import Weights, class_weights

if TYPE_CHECKING:
    from redoubt.training.folds import FoldTrainer

Curve = list[dict[str, float]]
Arrays = Mapping[str, NDArray[Any]]
Remember = Callable[[Mapping[str, Any], Arrays, Callable[[], Arrays]], Arrays]


class SweepError(RedoubtError):
    """A sweep without a winner."""


@dataclass(frozen=True)
class Point:
    """One combination of the grid."""

    model: ModelParams
    batch_size: int
    learning_rate: float


class Selected(Strict):
    """The winner of a sweep, as written to selected.json."""

    model: str
    settings: ModelParams
    batch_size: int
    learning_rate: float
    validation_loss: float


@dataclass(frozen=True)
class Folds:
    """Training examples (empty cells NaN), their folds, a scaler fitted without each fold, and how classes weigh."""

    batch: Batch
    fold: np.ndarray
    scalers: Sequence[Scaler]
    balance: Balance = "none"


@dataclass(frozen=True)
class Fold:
    """One training of a sweep."""

    scaler: Scaler
    train: Batch
    validation: Batch
    weights: Weights | None


def describe(model: ModelParams, outputs: int) -> str:
    """A short name in the field's terms, such as `logistic` or `cnn 16-32-64`."""
    if isinstance(model, Linear):
        return {1: "linear", 2: "logistic"}.get(outputs, "softmax")
    sizes = (*model.filters, *model.units) if isinstance(model, Cnn) else model.units
    name = f"{model.kind} {'-'.join(map(str, sizes))}"
    if isinstance(model, Cnn):
        name += f" kernel {model.kernel}" if model.kernel != Cnn.model_fields["kernel"].default else ""
        name += " strided" if model.pooling == "stride" else ""
    return name + (f" dropout {model.dropout:g}" if model.dropout else "")


def grid(params: SweepParams) -> list[Point]:
    """All combinations, in the order of params.yaml."""
    return [
        Point(model, batch_size, rate)
        for model, batch_size, rate in itertools.product(params.models, params.batch_size, params.learning_rate)
    ]


def compute_anew(key: Mapping[str, Any], given: Arrays, compute: Callable[[], Arrays]) -> Arrays:
    """Remembers nothing."""
    return compute()


def cross_validate(
    point: Point,
    folds: Folds,
    schema: Schema,
    epochs: int,
    seed: int,
    remember: Remember = compute_anew,
    limits: Sequence[float] = (),
) -> list[Curve]:
    """Train a point once per fold on the other folds' examples and measure it on the fold's own.

    Args:
        point: what to train.
        folds: examples, fold numbers and the scalers that belong to them.
        schema: of the task.
        epochs: of each training.
        seed: of weights and example order; the same for every point, so that points differ by their choices alone.
        remember: gives what a fold came to before the process was killed, or computes it; like
            `EvaluationCache.remember`.
        limits: by fold the mean loss of the folds so far above which the point is stopped; left out, it never is.

    Returns:
        A learning curve per fold that was trained: one mapping of metric names to values per epoch.
    """
    plan = {"epochs": epochs, "batch_size": point.batch_size, "learning_rate": point.learning_rate, "seed": seed}
    # Made where a fold is not remembered, and then shared by all of them.
    curves, trainer = [], cache(partial(_trainer, point.model, schema, plan))
    for number, scaler in enumerate(folds.scalers):
        held_out = folds.fold == number
        parts = (learnt(folds.fold, number), held_out)
        train, validation = (scaler.impute(folds.batch.take(np.flatnonzero(rows))) for rows in parts)
        key = {
            "plan": plan,
            "model": point.model.model_dump(),
            "schema": schema.model_dump(),
            "scaler": scaler.to_json(),
            "balance": folds.balance,
        }
        given = {"train_x": train.x, "train_y": train.y, "x": validation.x, "y": validation.y}
        fold = Fold(scaler, train, validation, class_weights(train.y, schema.outputs, folds.balance))
        curves.append(_as_curve(remember(key, given, partial(_train, fold, trainer))))
        if limits and score(curves) > limits[number]:
            break
    return curves


def _trainer(model: ModelParams, schema: Schema, plan: Mapping[str, Any]) -> "FoldTrainer":
    import_tensorflow()
    from redoubt.training.fit import Plan
    from redoubt.training.folds import FoldTrainer

    return FoldTrainer(model, schema, Plan(**plan))


def _train(fold: Fold, trainer: "Callable[[], FoldTrainer]") -> Arrays:
    curve = trainer().train(fold.scaler, fold.train, fold.validation, fold.weights)
    return {name: np.array([epoch[name] for epoch in curve]) for name in curve[0]}


def _as_curve(arrays: Arrays) -> Curve:
    return [
        {name: float(value) for name, value in zip(arrays, epoch, strict=True)}
        for epoch in zip(*arrays.values(), strict=True)
    ]


def best_epoch(curve: Curve) -> dict[str, float]:
    """The epoch of lowest validation loss: what early stopping would have kept; a loss that is no number is none."""
    return min(curve, key=lambda epoch: epoch["val_loss"] if math.isfinite(epoch["val_loss"]) else math.inf)


def score(curves: Sequence[Curve]) -> float:
    """A point's mean validation loss over its folds; infinite if a fold never had one."""
    mean = float(np.mean([best_epoch(curve)["val_loss"] for curve in curves]))
    return mean if math.isfinite(mean) else math.inf


def winner(scores: Sequence[float]) -> int:
    """Which point has the lowest score.

    Raises:
        SweepError: none has a finite one.
    """
    best = int(np.argmin(scores))
    if not math.isfinite(scores[best]):
        raise SweepError("the validation loss of every point is infinite or no number: lower sweep.learning_rate")
    return best
