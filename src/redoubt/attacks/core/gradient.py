"""FGSM (arXiv 1412.6572), its descendants and projected gradient descent (arXiv 1706.06083)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.active_rows import State, until_adversarial, while_active
from redoubt.attacks.core.base import Attack, GradientAttack
from redoubt.attacks.core.geometry import as_records_in_graph, project, steepest_step
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem, redrawn
from redoubt.core.types import Bounds, Floats

STEPS_PER_ROUND = 5


@dataclass(frozen=True, kw_only=True)
class PGD(GradientAttack):
    """Climb the loss step by step, projected onto the ball after each.

    Attributes:
        steps: gradient steps, >= 1.
        step_size: of one step, as a share of eps; None takes Madry's 2.5 / steps.
        random_start: start at a random point of the ball instead of the input itself.
        eot: gradients averaged per step over a random model's draws (arXiv 1802.00420).
        momentum: share of the last direction kept in the next (MI-FGSM, arXiv 1710.06081); 0 follows the gradient.
        loss: to be maximized.
        early_stop: an example stops at the first adversarial point on its path and soon costs nothing more. It succeeds
            every example that is adversarial without, and those which their last step loses again.
    """

    steps: int
    step_size: float | None = None
    random_start: bool = True
    eot: int = 1
    momentum: float = 0.0
    loss: Loss = "cross_entropy"
    early_stop: bool = False

    @property
    def starts_at_random(self) -> bool:
        """As the attribute says."""
        return self.random_start

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""

        def step(index: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return index + 1, self._step(problem, state, eps, seed, index)

        def climb(first: tf.Tensor, last: tf.Tensor, state: State) -> State:
            _, climbed = tf.while_loop(lambda index, _: index < last, step, (first, state))
            return climbed

        def advance(index: tf.Tensor, state: State) -> State:
            first = index * STEPS_PER_ROUND
            return climb(first, tf.minimum(first + STEPS_PER_ROUND, self.steps), state)

        first = project(x, x + eps * start * problem.bounds.scale, eps, problem.norm, problem.bounds)
        state = {"x": x, "y": y, "x_adv": first}
        if self.momentum:
            state["direction"] = tf.zeros_like(x)
        if not self.early_stop:
            return climb(tf.constant(0), tf.constant(self.steps), state)["x_adv"]
        state["done"] = tf.zeros(tf.shape(x)[:1], tf.bool)
        return while_active(math.ceil(self.steps / STEPS_PER_ROUND), advance, state, ["x_adv"])["x_adv"]

    def _step(self, problem: AttackProblem, state: State, eps: tf.Tensor, seed: tf.Tensor, index: tf.Tensor) -> State:
        norm, bounds = problem.norm, problem.bounds
        share = self.step_size if self.step_size is not None else 2.5 / self.steps
        x, y, x_adv, state = state["x"], state["y"], state["x_adv"], dict(state)
        # A win between whole numbers would be rounded away.
        record = as_records_in_graph(x, x_adv, eps, norm, bounds)
        _, margin, direction = value_and_grad(problem, record, y, redrawn(seed, index * self.eot), self.loss, self.eot)
        if self.momentum:
            direction = state["direction"] = self.momentum * state["direction"] + _of_mean_size_1(direction, bounds)
        step = eps * share * steepest_step(direction, norm, bounds)
        state["x_adv"] = project(x, x_adv + step, eps, norm, bounds, x_adv)
        if self.early_stop:
            state["done"] = state["done"] | (margin > 0)
            state["x_adv"] = tf.where(per_example(state["done"], x_adv), x_adv, state["x_adv"])
        return state


@dataclass(frozen=True)
class Restarts(Attack):
    """An attack from several random restarts, each on the examples that are still robust.

    Attributes:
        attack: one that starts at random.
        count: how many starts, >= 1.
    """

    attack: Attack
    count: int

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        attempts = (
            lambda rows, start=start: self.attack.perturb(problem, x[rows], y[rows], eps, seed + start)
            for start in range(self.count)
        )
        return until_adversarial(problem, x, y, attempts, eps, seed)


def fgsm() -> PGD:
    """One step from the input to a corner of the ball."""
    return PGD(steps=1, step_size=1.0, random_start=False)


def bim(steps: int) -> PGD:
    """The basic iterative method (arXiv 1607.02533): small steps from the input, eps in all."""
    return PGD(steps=steps, step_size=1.0 / steps, random_start=False)


def corner(steps: int) -> PGD:
    """FGSM over and over: however small the gradient, every step goes to a corner of the box (L-inf)."""
    return PGD(steps=steps, step_size=2.0, random_start=False)


def value_and_grad(
    problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, kind: Loss = "cross_entropy", eot: int = 1
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What an attacker sees of a point, each summed over `eot` draws of a random model.

    Returns:
        Loss `(examples,)`, margin `(examples,)` and the gradient of the loss with respect to the inputs
        `(examples, ...)`.
    """
    once = _value_and_grad_once(problem, kind)
    seen = [once(x, y, redrawn(seed, draw)) for draw in range(eot)]
    loss, margin, gradient = (sum(part) for part in zip(*seen, strict=True))
    return loss, margin, gradient


def loss_gradient(problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Gradient of the criterion's loss with respect to the inputs."""
    return value_and_grad(problem, x, y, seed)[2]


def per_example(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """One value per example `(examples,)`, in a shape that fits inputs `(examples, ...)`."""
    return tf.reshape(values, [-1] + [1] * (len(like.shape) - 1))


def _value_and_grad_once(problem: AttackProblem, kind: Loss) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """A function of inputs, labels and a seed, compiled once for all attacks that climb this loss of the problem."""
    key = ("value and gradient", kind)
    if key not in problem.compiled:
        problem.compiled[key] = _compile(problem, kind)
    once: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]] = problem.compiled[key]
    return once


def _compile(problem: AttackProblem, kind: Loss) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    def forward_and_back(x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            outputs = problem.outputs(x, seed)
            loss = problem.criterion.loss(outputs, y, kind)
        return loss, problem.criterion.margin(outputs, y), tape.gradient(loss, x)

    # Inlined into a loop, the gradient of max pooling misses its fast kernel in about every second compilation.
    apart = {"_noinline": True}
    return tf.function(forward_and_back, autograph=False, experimental_attributes=apart)


def _of_mean_size_1(gradient: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    """The gradient divided by its mean size in units of the scale, example by example; a vanished one stays 0."""
    axes = list(range(1, len(gradient.shape)))
    return tf.math.divide_no_nan(gradient, tf.reduce_mean(tf.abs(gradient * bounds.scale), axis=axes, keepdims=True))
