"""The attack contract: an author writes `run`; inputs are checked before and perturbations after."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.criteria import Criterion, Tolerance
from redoubt.attacks.geometry import distance, random_start
from redoubt.params import Norm
from redoubt.tasks import Bounds, Floats

BATCH = 256


class AttackError(ValueError):
    """An attack that cannot be run, or whose result broke its own rules."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is attacked, towards what, and within which limits.

    Attributes:
        outputs: `(x, seed) -> logits (rows, classes)` or values `(rows, 1)`; a fixed network ignores the seed.
        criterion: the aim.
        norm: in which perturbations are measured.
        bounds: the box inputs live in and the unit of eps.
    """

    outputs: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    criterion: Criterion
    norm: Norm
    bounds: Bounds
    compiled: dict[Any, Any] = field(default_factory=dict, repr=False)


def of_network(network: Callable[..., tf.Tensor]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A plain Keras network in the form `Problem.outputs` wants."""
    return lambda x, seed: network(x, training=False)


class Attack(abc.ABC):
    """Base of all attacks; subclasses are frozen dataclasses and write `run` only."""

    @property
    def starts_at_random(self) -> bool:
        """Whether `start` is a random point of the unit ball rather than its centre."""
        return True

    @abc.abstractmethod
    def run(
        self, problem: Problem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Perturb one batch, as graph code.

        Args:
            problem: what is attacked.
            x: inputs `(rows, ...)`.
            y: labels or values `(rows,)`.
            start: a point of the unit ball per row.
            eps: size of the perturbation, a scalar.
            seed: `(2,)` int32 for randomness inside the model.
        """

    @final
    def __call__(self, problem: Problem, x: Floats, y: NDArray[Any], *, eps: float, seed: int) -> Floats:
        """Attack every row.

        Args:
            problem: what is attacked, towards what, within which limits.
            x: inputs in raw units, float32 `(rows, ...)`.
            y: labels or values `(rows,)`.
            eps: largest perturbation, >= 0, in units of `bounds.scale`.
            seed: of the random starts and of the model's own randomness.

        Returns:
            Perturbed inputs, inside the bounds and within eps of x.

        Raises:
            AttackError: eps < 0, unusable inputs, outputs that are probabilities, a result outside the ball.
        """
        _check_inputs(problem, x, y, eps)
        start = np.zeros_like(x)
        if self.starts_at_random:
            start = random_start(np.random.default_rng(seed), x.shape, problem.norm)
        run = self._compile(problem, x, y)
        moved = [
            run(x[i : i + BATCH], y[i : i + BATCH], start[i : i + BATCH], np.float32(eps), [seed % 2**31, i]).numpy()
            for i in range(0, len(x), BATCH)
        ]
        result = np.concatenate(moved) if moved else x.copy()
        check_result(x, result, problem, eps)
        return result

    def _compile(self, problem: Problem, x: Floats, y: NDArray[Any]) -> Callable[..., tf.Tensor]:
        if self not in problem.compiled:
            rows = tf.TensorSpec((None, *x.shape[1:]), tf.float32)
            labels, eps = tf.TensorSpec((None,), y.dtype), tf.TensorSpec((), tf.float32)
            signature = [rows, labels, rows, eps, tf.TensorSpec((2,), tf.int32)]

            def run(x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
                return self.run(problem, x, y, start, eps, seed)

            problem.compiled[self] = tf.function(run, input_signature=signature, autograph=False)
        return problem.compiled[self]


def _check_inputs(problem: Problem, x: Floats, y: NDArray[Any], eps: float) -> None:
    if not 0 <= eps < math.inf:
        raise AttackError(f"eps is {eps}; it must be >= 0 and finite")
    if len(x) != len(y):
        raise AttackError(f"{len(x)} inputs came with {len(y)} labels")
    try:
        problem.bounds.check(x)
        outputs = problem.outputs(tf.constant(x[:8]), tf.zeros(2, tf.int32)).numpy()
    except ValueError as error:
        raise AttackError(f"the inputs cannot be attacked: {error}") from None
    if not np.isfinite(outputs).all():
        raise AttackError("the model answers NaN or infinity for unperturbed inputs")
    if isinstance(problem.criterion, Tolerance):
        return
    if len(y) and not (y.min() >= 0 and y.max() < outputs.shape[1]):
        raise AttackError(f"labels span {y.min()}..{y.max()}; the model has classes 0..{outputs.shape[1] - 1}")
    if len(x) and (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-4):
        raise AttackError("the outputs are probabilities (they sum to 1); attack the logits: drop the last softmax")


def check_result(x: Floats, moved: Floats, problem: Problem, eps: float) -> None:
    """Re-check shape, numbers, bounds and distance of a perturbation, trusting nobody.

    Raises:
        AttackError: names the rule that was broken.
    """
    if moved.shape != x.shape:
        raise AttackError(f"the attack returned shape {moved.shape} for inputs of shape {x.shape}")
    try:
        problem.bounds.check(moved)
    except ValueError as error:
        raise AttackError(f"the attack left the bounds: {error}") from None
    # Raw units of a table reach thousands, where float32 itself is coarse; what must not change has no such excuse.
    coarse = np.where(problem.bounds.scale > 0, 1e-6 * np.abs(x), 0.0)
    change = np.sign(moved - x) * np.maximum(np.abs(moved - x) - coarse, 0.0)
    far = distance(change, problem.norm, problem.bounds).max(initial=0.0)
    if far > eps * (1 + 1e-4):
        raise AttackError(f"the attack moved an input by {far:g} ({problem.norm}); allowed is eps = {eps:g}")
