"""One example after another proven or refuted, by methods of rising strength and cost: CROWN, alpha-CROWN, complete.

All is in exact arithmetic as far as double precision goes; the network is served in single precision. A proof therefore
needs a margin that is far above the rounding of either, and what refutes one is shown to the network itself.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from redoubt.certify.affine import Affine, Doubles, PiecewiseLinear
from redoubt.certify.branch_and_bound import Limit, Verdict, decide
from redoubt.certify.crown import Ascent, adaptive_slopes, bound, optimize
from redoubt.certify.reduce import OnBox, Question

Method = Literal["crown", "alpha", "complete"]
METHODS: tuple[Method, ...] = ("crown", "alpha", "complete")
# What a proof must exceed, in logits or in tolerances; or this share of what its outputs sum up to, if that is more.
MARGIN, SHARE = 1e-3, 1e-4
# The optimizer's steps for the rows, and for the bounds of each ReLU's input.
ROW_STEPS, RELU_STEPS = 60, 10


@dataclass(frozen=True, eq=False)
class Decision:
    """What is known of one example.

    Attributes:
        verdict: proven, adversarial (with its point) or undecided.
        method: the weakest that decided, or the strongest that was tried.
        seconds: that it took.
        point: a flat input of the box that is adversarial in exact arithmetic, `(inputs,)`.
    """

    verdict: Verdict
    method: Method
    seconds: float
    point: Doubles | None = None


def leads(outputs: int, y: int) -> Affine:
    """The lead of the true logit over each other, `(outputs - 1,)`."""
    matrix = np.delete(np.eye(outputs)[y] - np.eye(outputs), y, axis=0)
    return Affine(sparse.csr_array(matrix), np.zeros(outputs - 1))


def within(y: float, tolerance: float) -> Affine:
    """How far a number stays from both ends of the tolerance, in tolerances, `(2,)`."""
    ends = np.array([tolerance - y, tolerance + y])
    return Affine(sparse.csr_array([[1.0], [-1.0]]) / tolerance, ends / tolerance)


def verify_boxes(
    network: PiecewiseLinear,
    boxes: tuple[Doubles, Doubles, Doubles, NDArray[np.bool_]],
    asked: Sequence[Affine],
    how: tuple[Method, Limit],
) -> list[Decision]:
    """Verify some examples, one after the other; a process that does so needs no TensorFlow.

    Args:
        network: taken apart.
        boxes: the examples, lower ends, upper ends and whole numbers of `Question`, each `(examples, inputs)`.
        asked: of each example.
        how: the strongest method to try, and when branch and bound gives up on an example.
    """
    examples = zip(*boxes, asked, strict=True)
    return [verify(Question(network, x, low, high, whole, each), *how) for x, low, high, whole, each in examples]


def verify(question: Question, method: Method, limit: Limit) -> Decision:
    """Try the methods in order until one decides.

    Args:
        question: what is to be proven of one example.
        method: the strongest to try.
        limit: of branch and bound.
    """
    began = time.monotonic()

    def decided(verdict: Verdict, by: Method, point: Doubles | None = None) -> Decision:
        return Decision(verdict, by, time.monotonic() - began, point)

    outputs = question.network(question.x[None])
    if not np.all(question.asked(outputs) >= 0.0):
        return decided("adversarial", "crown", question.x)
    goal = max(MARGIN, SHARE * float((abs(question.asked.matrix) @ np.abs(outputs[0])).max()))
    on_box = OnBox(question)
    start, value = _start(on_box)
    if np.all(value > goal):
        return decided("proven", "crown")
    if method == "crown":
        return decided("undecided", "crown")
    on_box, slopes, value = _optimized(question, on_box, start, goal)
    if np.all(value > goal):
        return decided("proven", "alpha")
    if method == "alpha":
        return decided("undecided", "alpha")
    verdict, point = decide(on_box, slopes, goal, limit)
    return decided(verdict, "complete", point)


def _start(on_box: OnBox) -> tuple[Doubles, Doubles]:
    """The better of two slopes for each row, and the bounds that they give: of the smaller area, and 0."""
    rows, offset = on_box.rows, on_box.offset
    none = np.zeros((len(rows), on_box.reduced.relus))
    one = none + adaptive_slopes(on_box.reduced)
    first, second = (bound(on_box.reduced, rows, offset, slopes, none, none).value for slopes in (one, none))
    return np.where((first > second)[:, None], one, none), np.maximum(first, second)


def _optimized(question: Question, on_box: OnBox, start: Doubles, goal: float) -> tuple[OnBox, Doubles, Doubles]:
    """Optimize slopes for the rows; if that is not enough, for the bounds of the ReLUs' inputs first."""
    for again in (False, True):
        if again:
            on_box = OnBox(question, RELU_STEPS)
            start, _ = _start(on_box)
        none = np.zeros_like(start)
        found, ascent = optimize(on_box.reduced, on_box.rows, on_box.offset, none, Ascent(start, none), ROW_STEPS, goal)
        if np.all(found.value > goal):
            break
    return on_box, ascent.slopes, found.value
