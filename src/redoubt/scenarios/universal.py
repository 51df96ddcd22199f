"""One perturbation for most inputs (arXiv 1610.08401), learned by gradient ascent (arXiv 1811.11304)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.core.base import check_gradient, check_inputs, check_result
from redoubt.attacks.core.geometry import project, random_start, round_integers, steepest_step
from redoubt.attacks.core.problem import ROWS, AttackError, AttackProblem
from redoubt.bundle.batches import slices
from redoubt.core.types import Bounds, Floats

# An example of so high a loss is adversarial: it pulls no more, lest a few examples take all the effort.
ENOUGH = 3.0


@dataclass(frozen=True, kw_only=True)
class Universal:
    """Climbs the mean capped loss of mini-batches with one shared perturbation, projected onto the ball after each.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per step.
        step_size: of the first step, as a share of eps; it falls evenly to 0.
    """

    epochs: int = 5
    batch_size: int = 128
    step_size: float = 0.5

    def fit(
        self,
        problem: AttackProblem,
        x: Floats,
        y: NDArray[Any],
        *,
        eps: float,
        seed: int,
        bar: "tqdm[Any] | None" = None,
    ) -> Floats:
        """Learn a perturbation.

        Args:
            problem: what is attacked, towards what, within which limits.
            x: examples to learn from, in raw units, float32 `(examples, ...)`; not those it is to be measured on.
            y: labels or values `(examples,)`; the model's own predictions will do.
            eps: largest perturbation, >= 0, in units of `bounds.scale`.
            seed: of the order of the examples and of the model's own randomness.
            bar: moved on by one per mini-batch.

        Returns:
            A perturbation of the shape of one input, within eps; see `apply`.

        Raises:
            AttackError: no examples, or what `Attack.__call__` refuses.
        """
        check_inputs(problem, x, y, eps)
        check_gradient(problem, x)
        if not len(x):
            raise AttackError("no examples; a universal perturbation needs at least one")
        rng = np.random.default_rng(seed)
        order = np.concatenate([rng.permutation(len(x)) for _ in range(self.epochs)])
        batches = [order[part] for part in slices(len(order), self.batch_size)]
        # Not from 0, where a regression's error, measured from its own answers, has no slope.
        step, delta = self._compile(problem, x, y), eps * random_start(rng, (1, *x.shape[1:]), problem.norm)[0]
        delta *= problem.bounds.scale
        for index, rows in enumerate(batches):
            size = np.float32(eps * self.step_size * (1 - index / len(batches)))
            delta = step(x[rows], y[rows], delta, size, np.float32(eps), [seed % 2**31, ROWS * index])
            if bar is not None:
                bar.update()
        return np.asarray(delta)

    def _compile(self, problem: AttackProblem, x: Floats, y: NDArray[Any]) -> Callable[..., tf.Tensor]:
        if self in problem.compiled:
            return problem.compiled[self]
        bounds, norm = problem.bounds, problem.norm
        # The perturbation itself lives in the ball alone; only what it is added to has a box.
        lower, upper = np.full_like(x[0], -np.inf), np.full_like(x[0], np.inf)
        free = replace(bounds, lower=lower, upper=upper, integer=np.False_, relations=None)

        def step(
            x: tf.Tensor, y: tf.Tensor, delta: tf.Tensor, size: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
        ) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(delta)
                x_adv = tf.clip_by_value(x + delta, bounds.lower, bounds.upper)
                loss = problem.criterion.loss(problem.outputs(x_adv, seed), y)
                gain = tf.reduce_mean(tf.minimum(loss, ENOUGH))
            climb = steepest_step(tape.gradient(gain, delta)[None], norm, bounds)
            return project(tf.zeros_like(climb), delta + size * climb, eps, norm, free)[0]

        rows, one, scalar = (tf.TensorSpec(shape, tf.float32) for shape in ((None, *x.shape[1:]), x.shape[1:], ()))
        labels, seed = tf.TensorSpec((None, *y.shape[1:]), y.dtype), tf.TensorSpec((2,), tf.int32)
        signature = [rows, labels, one, scalar, scalar, seed]
        problem.compiled[self] = tf.function(step, input_signature=signature, autograph=False)
        return problem.compiled[self]


def random_delta(problem: AttackProblem, shape: tuple[int, ...], *, eps: float, seed: int) -> Floats:
    """The baseline: one random corner (L-inf) or direction (L2) of the same size, of the shape of one input."""
    start = random_start(np.random.default_rng(seed), (1, *shape), problem.norm)
    return np.asarray(eps * steepest_step(tf.constant(start), problem.norm, problem.bounds)[0])


def apply(x: Floats, delta: Floats, bounds: Bounds) -> Floats:
    """Add one perturbation to every example `(examples, ...)`, clipped to the bounds, integers rounded towards x.

    An example of which it would break a relation stays as it is: repaired, it would not be the same perturbation.
    """
    x_adv = round_integers(x, np.clip(x + delta, bounds.lower, bounds.upper).astype(np.float32), bounds)
    if bounds.relations is None:
        return x_adv
    return np.where(bounds.relations.broken(x, x_adv).any(axis=1, keepdims=True), x, x_adv)


def fooled(problem: AttackProblem, x: Floats, delta: Floats, *, eps: float, seed: int = 0) -> NDArray[np.bool_]:
    """Which predictions change once the perturbation is added, `(examples,)`, whether they were correct or not.

    Args:
        problem: any model, untargeted: the one the perturbation was learned on or another. Of numbers, an answer that
            moves by more than the tolerance is another one.
        x: examples that the perturbation was not learned on, in raw units.
        delta: of the shape of one input.
        eps: that the perturbation must keep within.
        seed: of the model's own randomness.

    Raises:
        AttackError: the perturbed examples break the rules of the contract.
    """
    x_adv = apply(x, delta, problem.bounds)
    check_result(x, x_adv, problem, eps)
    before, after = problem.predict(x, seed), problem.predict(x_adv, seed)
    return problem.criterion.is_adversarial(
        after, before.argmax(axis=1) if problem.criterion.is_classification else before[:, 0]
    )


def fooling_rate(problem: AttackProblem, x: Floats, delta: Floats, *, eps: float, seed: int = 0) -> float:
    """Fooling rate: the share of predictions that change, the measure of arXiv 1610.08401; see `fooled`."""
    return float(fooled(problem, x, delta, eps=eps, seed=seed).mean())
