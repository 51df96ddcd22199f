"""The loss along a line from an input: random directions change little, adversarial ones flip the prediction."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import distance, steepest_step
from redoubt.attacks.core.gradient import value_and_grad
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class Walk:
    """What a network predicts along a line.

    Attributes:
        distances: from the input, in the problem's norm and units of `bounds.scale`, `(steps,)`.
        loss: the criterion's, `(steps,)`.
        margin: the criterion's; above 0 the attacker has succeeded, `(steps,)`.
        outputs: logits `(steps, classes)` or values `(steps, 1)`.
        answers: the predicted class, `(steps,)`; 0 throughout for a regression.
    """

    distances: Floats
    loss: Floats
    margin: Floats
    outputs: Floats
    answers: Ints


def along(problem: AttackProblem, x: Floats, y: Any, direction: Floats, distances: Floats) -> Walk:
    """Walk from one input along a direction, clipped to the bounds.

    Args:
        problem: the model, and the loss to be drawn.
        x: one input, `(...)` without an example axis, raw units.
        y: its label or value, as the criterion wants it.
        direction: of unit length, as the functions below return it, of the shape of x.
        distances: how far to go, `(steps,)`; negative walks the other way.

    Raises:
        ValueError: a direction of another shape, or not of length 1.
    """
    if direction.shape != x.shape:
        raise ValueError(f"the direction has shape {direction.shape}; the input has {x.shape}")
    length = distance(direction[None], problem.norm, problem.bounds)[0]
    if not abs(length - 1) < 1e-3:
        raise ValueError(f"the direction has {problem.norm} length {length:g}; expected 1, divide by it")
    far = np.asarray(distances, np.float32)
    path = x + far.reshape(-1, *[1] * x.ndim) * direction
    outputs = problem.predict(np.clip(path, problem.bounds.lower, problem.bounds.upper).astype(np.float32))
    logits, labels = tf.constant(outputs), tf.constant(np.repeat(np.asarray(y)[None], len(far), axis=0))
    loss, margin = problem.criterion.loss(logits, labels), problem.criterion.margin(logits, labels)
    return Walk(far, loss.numpy(), margin.numpy(), outputs, outputs.argmax(axis=1))


def random_direction(problem: AttackProblem, x: Floats, seed: int) -> Floats:
    """A random corner (L-inf) or direction (L2) of unit length, of the shape of the input x."""
    drawn = np.random.default_rng(seed).standard_normal((1, *x.shape)).astype(np.float32)
    return steepest_step(tf.constant(drawn), problem.norm, problem.bounds).numpy()[0]


def gradient_direction(problem: AttackProblem, x: Floats, y: Any, seed: int = 0) -> Floats:
    """The direction of unit length in which the margin rises fastest at the input x; where the loss is flat, it is not.

    Raises:
        ValueError: the gradient is 0 there.
    """
    gradient = _margin_gradient(problem, x[None], np.asarray(y)[None], [seed % 2**31, 0])
    if not np.any(gradient.numpy() * problem.bounds.scale):
        raise ValueError("the gradient is 0 at this input; walk toward an attack's result instead")
    return steepest_step(gradient, problem.norm, problem.bounds).numpy()[0]


def _margin_gradient(problem: AttackProblem, x: Floats, y: NDArray[Any], seed: list[int]) -> tf.Tensor:
    """Compiled once for all the inputs that are walked from."""
    key = ("margin gradient", y.dtype, y.shape[1:])
    if key not in problem.compiled:
        rows, labels = tf.TensorSpec((None, *x.shape[1:]), tf.float32), tf.TensorSpec((None, *y.shape[1:]), y.dtype)
        problem.compiled[key] = tf.function(
            lambda x, y, seed: value_and_grad(problem, x, y, seed, "margin")[2],
            input_signature=[rows, labels, tf.TensorSpec((2,), tf.int32)],
            autograph=False,
        )
    return problem.compiled[key](x, y, seed)


def direction_toward(problem: AttackProblem, x: Floats, x_adv: Floats) -> Floats:
    """The direction of unit length from the input x to an attack's result; switched categories are no part of it.

    Raises:
        ValueError: the attack perturbed nothing.
    """
    change, switches = x_adv - x, problem.bounds.switches
    if switches is not None:
        change = np.where(switches.inputs(len(x)), np.float32(0.0), change)
    length = distance(change[None], problem.norm, problem.bounds)[0]
    if length == 0:
        raise ValueError("the attack changed nothing: there is no direction to walk in")
    return (change / length).astype(np.float32)
