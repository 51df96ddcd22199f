"""Baselines without a network: a constant predictor, a plain linear model and, of tables, gradient-boosted trees.

A champion must be worth more than the first and hardly less than the second. Trees are what a practitioner would take
for a table; they have no gradient, no certificate and no part in the choice, but whoever loses to them should know.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Floats
from redoubt.data.prepare.scaling import Scaler
from redoubt.evaluation.metrics import (
    DIGITS,
    Score,
    balanced_accuracy,
    class_metrics,
    rate,
    regression_metrics,
    skill,
)
from redoubt.params.settings.base import Balance

# The linear model learns from at most so many training examples: more of them tell its score no better.
ROWS = 5000
ITERATIONS = 300
TREES_ROWS = 100_000
# A network that scores less than that below the best baseline does as well.
MARGIN = 0.01


@dataclass(frozen=True)
class Baseline:
    """Predictions of a model that is no candidate.

    Attributes:
        name: `constant`, `linear` or `trees`.
        about: what it predicts, or what it was fitted to, in words.
        predictions: per part of the data, classes or values `(examples,)`.
    """

    name: str
    about: str
    predictions: Mapping[str, NDArray[Any]]


def constant(train: Batch, schema: Schema, parts: Mapping[str, Batch]) -> Baseline:
    """The most frequent class of the training examples, or their mean, for every example."""
    if schema.is_classification:
        answer: Any = int(np.bincount(train.y, minlength=schema.outputs).argmax())
        about = f"'{schema.labels[answer]}', the majority class of the training set"
    else:
        answer = float(train.y.mean(dtype=float))
        about = f"{answer:.6g}, the mean of the training set"
    return Baseline("constant", about, {name: np.full(len(batch), answer) for name, batch in parts.items()})


def linear(
    train: Batch, schema: Schema, scaler: Scaler, parts: Mapping[str, Batch], balance: Balance, seed: int
) -> Baseline:
    """Logistic (softmax) regression or ridge regression on scaled features, images as flat pixels.

    Args:
        train: examples to learn from; of more than `ROWS`, as many drawn ones.
        schema: of the task.
        scaler: statistics of the training examples.
        parts: what to predict, by name.
        balance: as the candidates were trained.
        seed: of the draw.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    some, weight = _some(train, ROWS, seed), "balanced" if balance == "weights" else None
    model: Any = LogisticRegression(max_iter=ITERATIONS, class_weight=weight) if schema.is_classification else Ridge()
    # Where it has not converged after so many steps it is still a model.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _fitted(model, some, scaler, parts)
    kind = "logistic regression" if schema.is_classification else "ridge regression"
    return Baseline("linear", f"{kind} on {len(some)} of {len(train)} training examples", found)


def trees(
    train: Batch, schema: Schema, scaler: Scaler, parts: Mapping[str, Batch], balance: Balance, seed: int
) -> Baseline:
    """Gradient-boosted trees with scikit-learn's defaults; arguments as of `linear`, with `TREES_ROWS` examples."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    some, weight = _some(train, TREES_ROWS, seed), "balanced" if balance == "weights" else None
    model: Any = (
        HistGradientBoostingClassifier(class_weight=weight, early_stopping=False, random_state=seed)
        if schema.is_classification
        else HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
    )
    about = f"gradient-boosted trees on {len(some)} of {len(train)} training examples"
    return Baseline("trees", about, _fitted(model, some, scaler, parts))


def _some(train: Batch, most: int, seed: int) -> Batch:
    if len(train) <= most:
        return train
    return train.take(np.sort(np.random.default_rng(seed).choice(len(train), most, replace=False)))


def _fitted(model: Any, train: Batch, scaler: Scaler, parts: Mapping[str, Batch]) -> dict[str, NDArray[Any]]:
    # Threads sum in an order of their own.
    with threadpool_limits(1):
        model.fit(_flat(train.x, scaler), train.y)
        return {name: model.predict(_flat(batch.x, scaler)) for name, batch in parts.items()}


def judgment(natural: Mapping[str, float], beside: Mapping[str, Any], schema: Schema) -> str:
    """How the natural model compares on the test split with a baseline that was chosen on validation, in a sentence.

    Args:
        natural: its figures, as `clean_metrics` names them.
        beside: as `compared` gives them, of the parts "validation" and "test".
        schema: of the task.
    """
    metric, words = ("balanced_accuracy", "balanced accuracy") if schema.is_classification else ("r2", "R2")
    best = max(beside.values(), key=lambda each: each["validation"][metric])
    own, other, score = natural[metric], best["test"][metric], best["test"]["score"]
    told = f"{own:.3f} {words} on the clean test split against {other:.3f}, {best['about']}"
    if own >= other - MARGIN:
        return f"The natural model does as well as the best baseline: {told}."
    if own >= score["low"]:
        return (
            f"The natural model scores below the best baseline, by no more than chance may explain: {told}, whose 95 %"
            f" interval is {score['low']:.3f} to {score['high']:.3f} on {score['n']} examples."
        )
    return (
        f"The natural model loses to a baseline: {told}. Where nobody attacks, prefer the baseline; a wider `sweep` or"
        " more `train.epochs` may close the gap."
    )


def clean_score(predicted: NDArray[Any], batch: Batch, schema: Schema, target_mean: float) -> Score:
    """What gates and candidates are measured by: balanced accuracy, or R2 against the mean of the training set.

    Raises:
        MetricError: every target is that mean.
    """
    if schema.is_classification:
        return balanced_accuracy(predicted == batch.y, batch.y, schema.outputs)
    return skill(np.square(predicted.astype(float) - batch.y), np.square(batch.y.astype(float) - target_mean), "R2")


def clean_metrics(predicted: NDArray[Any], batch: Batch, schema: Schema, tolerance: float | None) -> dict[str, float]:
    """Plain figures beside: accuracy, balanced accuracy and MCC, or the errors and the share within the tolerance."""
    if schema.is_classification:
        return class_metrics(predicted, batch.y, schema.outputs)
    within = rate(np.abs(predicted.astype(float) - batch.y) <= (tolerance or 0.0)).share
    found = {**regression_metrics(predicted, batch.y), "within_tolerance": within}
    return {name: round(value, DIGITS) for name, value in found.items()}


def _flat(x: Floats, scaler: Scaler) -> NDArray[Any]:
    return ((x.astype(float) - scaler.mean) / scaler.std).reshape(len(x), -1)


def compared(
    train: Batch,
    schema: Schema,
    scaler: Scaler,
    parts: Mapping[str, Batch],
    balance: Balance,
    seed: int,
    tolerance: float | None,
) -> dict[str, Any]:
    """What a constant, a linear model and trees score on each part of the data, by their names.

    Args:
        train: what they learn from.
        schema: of the task.
        scaler: fitted on those examples.
        parts: of the data.
        balance: whether every class weighs alike.
        seed: of the examples that are learnt from.
        tolerance: of a regression.
    """
    mean = float(train.y.mean(dtype=float))
    learners = (linear,) if schema.kind == "image" else (linear, trees)
    made = [constant(train, schema, parts), *(fit(train, schema, scaler, parts, balance, seed) for fit in learners)]
    return {
        each.name: {
            "about": each.about,
            **{
                name: {
                    "score": clean_score(each.predictions[name], batch, schema, mean).model_dump(),
                    **clean_metrics(each.predictions[name], batch, schema, tolerance),
                }
                for name, batch in parts.items()
            },
        }
        for each in made
    }
