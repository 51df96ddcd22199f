"""What an audit checks before it believes a model or its data: is the figure that of the model that was meant?"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from redoubt.audit.judge import Judge
from redoubt.audit.units import units
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch, Floats
from redoubt.evaluation.metrics import Rate, rate
from redoubt.evaluation.redraws import Flags
from redoubt.evaluation.results import Check
from redoubt.evaluation.summarize import degenerate

# Of the largest score, by which two answers to the same input may differ.
SAME = 1e-4
PROBED = 256
# Examples that are asked about alone, too.
ALONE = 8
CLEARLY = 0.1
# Of a budget of queries, which part the question of the unit may take.
PART = 8
# Layers that bring inputs to a size near 1, and how far from that is too far.
SCALING, FAR = ("Normalization", "Rescaling", "BatchNormalization"), 5.0


class RandomError(RedoubtError):
    """A model that answers by chance, and was not said to."""


@dataclass(frozen=True, eq=False)
class Clean:
    """The model on the examples as they are.

    Attributes:
        scores: `(examples, outputs)`.
        right: the share that is correct.
        constant: what the commonest class of these examples would be right on; None of numbers.
        wrong: which are not correct.
    """

    scores: Floats
    wrong: Flags
    right: Rate
    constant: float | None


def look(judge: Judge, batch: Batch) -> Clean:
    """Ask the model about the examples as they are.

    Raises:
        RandomError: it answers otherwise when asked again, and `--random` does not say so.
        RedoubtError: its answers are not finite.
    """
    scores = judge.oracle(batch.x)
    broken = ~np.isfinite(scores).all(axis=1)
    if broken.any():
        raise RedoubtError(
            f"the model answers NaN or infinity to {int(broken.sum())} of {len(batch)} clean examples, the first being"
            f" example {int(broken.argmax())}: leave them out, or correct the model"
        )
    some = batch.x[:PROBED]
    far = np.abs(judge.oracle(some) - scores[: len(some)]).max() / max(1.0, float(np.abs(scores).max()))
    if far > SAME and judge.repeats == 1:
        raise RandomError(
            f"the model gives other scores when it is asked again (by {far:.2g} of the largest): dropout or random"
            " augmentation left on? If it is meant, say --random 3: the majority of 3 repeats decides, gradients are"
            " averaged"
        )
    wrong = judge.is_adversarial(batch.x, batch.y) if judge.repeats > 1 else judge.wrong(scores, batch.y)
    constant = None
    if judge.target.is_classification:
        constant = float(np.bincount(batch.y).max() / len(batch))
    return Clean(scores, wrong, rate(~wrong), constant)


def suspicions(judge: Judge, batch: Batch, clean: Clean) -> Iterator[Check]:
    """Checks on the model and its data, by name, with what was seen."""
    width = judge.target.width
    names = tuple(judge.target.labels[:width]) + tuple(map(str, range(len(judge.target.labels), width)))
    worthless = degenerate(clean.scores, names if judge.target.is_classification else ())
    if worthless is not None:
        yield Check(name="the predictions vary", passed=False, found=worthless)
    if judge.repeats == 1:
        some = batch.x[: _affordable(judge, min(ALONE, len(batch)), 1)]
        yield _alone(judge, some, clean.scores)
    if not judge.target.is_classification:
        return
    yield _above_a_constant(clean)
    yield _labels(clean.scores, batch.y, clean.right)
    if judge.target.kind != "http":
        yield _unit(judge, batch, clean)
    if judge.target.network is not None:
        yield from _own_scaling(judge.target.network, batch.x)
    yield _logits(clean.scores)


def _alone(judge: Judge, x: Floats, scores: Floats) -> Check:
    """Whether an example's answer is its own: by layers that look across a batch, others decide it."""
    name = "an answer does not depend on the other examples"
    alone = np.concatenate([judge.oracle(row[None]) for row in x])
    far = np.abs(alone - scores[: len(x)]).max(axis=1) / max(1.0, float(np.abs(scores).max()))
    if far.max() <= SAME:
        return Check(name=name, passed=True, found=f"{len(x)} that are asked alone get the same scores")
    found = (
        f"asked alone, example {int(far.argmax())} gets other scores than among the others (by {far.max():.2g} of the"
        " largest): batch normalization in training mode, or scales of a whole batch? Export the model for inference"
    )
    return Check(name=name, passed=False, found=found)


def _above_a_constant(clean: Clean) -> Check:
    share = clean.constant or 0.0
    found = (
        f"accuracy {100 * clean.right.share:.1f} % (95 %: {100 * clean.right.low:.1f} to {100 * clean.right.high:.1f});"
        f" always the commonest class: {100 * share:.1f} %"
    )
    if clean.right.low > share:
        return Check(name="clean accuracy is above a constant's", passed=True, found=found)
    hint = "; other labels, another preprocessing or another model than was meant?"
    if share == 1:
        hint = "; the examples hold one class alone, of which any constant is right: give some of every class"
    return Check(name="clean accuracy is above a constant's", passed=False, found=found + hint)


def _labels(scores: Floats, y: NDArray[np.int64], right: Rate) -> Check:
    """Whether other names for the classes would make the model right: labels counted from 1, or in another order."""
    name, classes, chosen = "labels are in the model's order", scores.shape[1], scores.argmax(axis=1)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (y, chosen), 1)
    truth, as_class = linear_sum_assignment(-counts)
    renamed = rate(np.arange(len(y)) < counts[truth, as_class].sum())
    if renamed.low < right.high + CLEARLY or right.share > 0.5:
        return Check(name=name, passed=True, found="no other order of the classes fits clearly better")
    confused = [(int(a), int(b)) for a, b in zip(truth, as_class, strict=True) if a != b and counts[a, b]]
    shift = {(b - a) % classes for a, b in confused}
    how = f"y + {min(shift)}" if len(shift) == 1 else ", ".join(f"{a} is the model's {b}" for a, b in confused[:4])
    found = (
        f"with the classes renamed ({how}) accuracy would be {100 * renamed.share:.1f} %, not {100 * right.share:.1f} %"
    )
    return Check(name=name, passed=False, found=found)


def _unit(judge: Judge, batch: Batch, clean: Clean) -> Check:
    """Whether the model is clearly better on the same examples in another unit: it takes another preprocessing."""
    name, found = "inputs are in the model's unit", {how: x.astype(np.float32) for how, x in units(batch.x[:PROBED])}
    some = batch.take(np.arange(_affordable(judge, min(PROBED, len(batch)), len(found))))
    before = rate(~clean.wrong[: len(some)])
    if before.high + CLEARLY >= 1:
        return Check(name=name, passed=True, found="there is no room for another unit to fit clearly better")
    rates = {how: rate(~judge.is_adversarial(x[: len(some)], some.y)) for how, x in found.items()}
    best = max(rates, key=lambda how: rates[how].share)
    if rates[best].low > before.high + CLEARLY:
        said = f"on {best} accuracy would be {100 * rates[best].share:.1f} %, not {100 * before.share:.1f} %"
        return Check(name=name, passed=False, found=said)
    return Check(name=name, passed=True, found="no other usual unit of the same examples fits clearly better")


def _affordable(judge: Judge, examples: int, times: int) -> int:
    """How many examples can be asked about so often for a small part of a budget of queries."""
    if judge.left is None:
        return examples
    return max(1, min(examples, judge.left // (PART * times * judge.repeats)))


def _own_scaling(network: keras.Model, x: Floats) -> Iterator[Check]:
    """Whether the model's own first layers make of these examples what they were made for."""
    name, scaled, seen = "the model's own scaling fits the examples", x[:PROBED], False
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in (*SCALING, "InputLayer"):
            break
        if kind != "InputLayer":
            scaled, seen = layer(scaled, training=False).numpy(), True
    if not seen:
        return
    middle, spread, largest = float(scaled.mean()), float(scaled.std()), float(np.abs(scaled).max())
    found = f"behind it they have mean {middle:.2g}, standard deviation {spread:.2g} and size up to {largest:.2g}"
    fits = spread < FAR and abs(middle) < FAR and largest > 1 / 100
    hint = "" if fits else ": are they scaled already, or in another unit than the model was made for?"
    yield Check(name=name, passed=fits, found=found + hint)


def _logits(scores: Floats) -> Check:
    bounded = bool((scores >= 0).all() and (scores <= 1).all())
    found = "they all lie in [0, 1]: a sigmoid or softmax that was not seen?" if bounded else "they are not confined"
    return Check(name="scores are logits", passed=not bounded, found=found)
