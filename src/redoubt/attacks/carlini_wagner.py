"""Carlini and Wagner's L2 attack (arXiv 1608.04644): the smallest perturbation that is adversarial."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from redoubt.attacks.core.active_rows import State, while_active
from redoubt.attacks.core.base import GradientAttack
from redoubt.attacks.core.geometry import inside, project
from redoubt.attacks.core.gradient import per_example
from redoubt.attacks.core.problem import AttackProblem, redrawn
from redoubt.core.types import Bounds

# The search for a constant multiplies by ten until one has succeeded; from there on it halves the gap.
UNKNOWN = 1e10
# An example is left alone once its objective falls by less than this share in a tenth of the steps.
STALLED = 0.9999
CHECKS = 10
BETA1, BETA2, TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True, kw_only=True)
class CarliniWagner(GradientAttack):
    """Minimize squared L2 distance + constant x what the margin lacks, by Adam, for constants found by bisection.

    Of the paper's three ways to stay in the box it takes projection after each step. The paper's own choice, a tanh
    whose argument is searched, stalls where pixels are black or white: there its slope nearly vanishes.

    The distance is L2 in units of `Bounds.scale`, whatever the problem's norm. eps does not steer the search: a result
    beyond it is projected, and then rarely adversarial. So an example is adversarial where its smallest known
    perturbation is within eps; with a large eps the distances of the results are the attack's own result. Examples
    never fooled come back as they were.

    Attributes:
        steps: of Adam per constant, >= 1.
        searches: constants tried per example, >= 1.
        learning_rate: of Adam, in units of `Bounds.scale`.
        constant: the first one tried, > 0.
        kappa: margin by which an example must be adversarial, >= 0, in the criterion's own unit: logits or tolerances.
    """

    steps: int = 1000
    searches: int = 9
    learning_rate: float = 0.01
    constant: float = 1e-3
    kappa: float = 0.0

    @property
    def starts_at_random(self) -> bool:
        """It starts at the input."""
        return False

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        every = -(-self.steps // CHECKS)

        def search(index: tf.Tensor, found: State) -> tuple[tf.Tensor, State]:
            def step(count: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
                draw = redrawn(seed, index * self.steps + count)
                return count + 1, self._step(problem, state, draw, tf.cast(count + 1, tf.float32))

            def advance(check: tf.Tensor, state: State) -> State:
                last = tf.minimum((check + 1) * every, self.steps)
                _, state = tf.while_loop(lambda count, _: count < last, step, (check * every, state))
                stalled = state["objective"] > STALLED * state["mark"]
                return {**state, "mark": state["objective"], "done": stalled}

            return index + 1, _next_constant(while_active(CHECKS, advance, _begin(x, y, found), found))

        rows = tf.shape(x)[:1]
        found = {
            "constant": tf.fill(rows, self.constant),
            "low": tf.zeros(rows),
            "high": tf.fill(rows, UNKNOWN),
            "adversarial": tf.zeros(rows, tf.bool),
            "best": x,
            "distance": tf.fill(rows, x.dtype.max),
        }
        _, found = tf.while_loop(lambda index, _: index < self.searches, search, (tf.constant(0), found))
        return project(x, found["best"], eps, problem.norm, problem.bounds)

    def _step(self, problem: AttackProblem, state: State, seed: tf.Tensor, count: tf.Tensor) -> State:
        """Evaluate the point, keep it if it is the nearest adversarial one, and take one step of Adam."""
        x, x_adv, bounds = state["x"], state["x_adv"], problem.bounds
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            distance = _squared_distance(x_adv - x, bounds)
            margin = problem.criterion.margin(problem.outputs(x_adv, seed), state["y"])
            objective = distance + state["constant"] * tf.nn.relu(self.kappa - margin)
        gradient = tape.gradient(objective, x_adv) * bounds.scale
        first = BETA1 * state["first"] + (1 - BETA1) * gradient
        second = BETA2 * state["second"] + (1 - BETA2) * tf.square(gradient)
        size = self.learning_rate * bounds.scale * tf.sqrt(1 - BETA2**count) / (1 - BETA1**count)
        adversarial = margin > self.kappa
        nearer = adversarial & (distance < state["distance"])
        return {
            **state,
            "x_adv": inside(x, x_adv - size * first / (tf.sqrt(second) + TINY), bounds),
            "first": first,
            "second": second,
            "objective": objective,
            "adversarial": state["adversarial"] | adversarial,
            "best": tf.where(per_example(nearer, x_adv), x_adv, state["best"]),
            "distance": tf.where(nearer, distance, state["distance"]),
        }


def _begin(x: tf.Tensor, y: tf.Tensor, found: State) -> State:
    none, largest = tf.zeros_like(x), tf.fill(tf.shape(x)[:1], x.dtype.max)
    fresh = {"x_adv": x, "first": none, "second": none, "objective": largest, "mark": largest}
    done = tf.zeros(tf.shape(x)[:1], tf.bool)
    return {**found, **fresh, "x": x, "y": y, "adversarial": done, "done": done}


def _next_constant(found: State) -> State:
    """Per example: bisect between the largest that failed and the smallest that succeeded, else take ten times more."""
    constant, adversarial = found["constant"], found["adversarial"]
    low = tf.where(adversarial, found["low"], tf.maximum(found["low"], constant))
    high = tf.where(adversarial, tf.minimum(found["high"], constant), found["high"])
    constant = tf.where(high < UNKNOWN, (low + high) / 2, 10 * constant)
    return {**found, "constant": constant, "low": low, "high": high}


def _squared_distance(change: tf.Tensor, bounds: Bounds) -> tf.Tensor:
    usable: Any = np.where(bounds.scale > 0, bounds.scale, 1.0).astype(np.float32)
    return tf.reduce_sum(tf.square(change / usable), axis=list(range(1, len(change.shape))))
