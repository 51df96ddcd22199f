"""Auto-PGD (arXiv 2003.01690): no step size to choose, since it halves by itself where progress stalls."""

import itertools
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.active_rows import State, until_adversarial, while_active
from redoubt.attacks.core.base import Attack, GradientAttack
from redoubt.attacks.core.geometry import as_records_in_graph, project, steepest_step
from redoubt.attacks.core.gradient import per_example, value_and_grad
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem, redrawn
from redoubt.core.types import Floats

# Of the last two moves, and the share of steps that must climb between two checkpoints; both from the paper.
MOMENTUM = 0.75
CLIMBING = 0.75


@dataclass(frozen=True, kw_only=True)
class APGD(GradientAttack):
    """Maximize the loss with momentum; where progress stalls, go back to the best point with half the step.

    It returns the point with the largest margin: an adversarial one as soon as it has found one.

    Attributes:
        steps: gradient steps, >= 1; the start costs one gradient more.
        loss: to be maximized.
        eot: draws of a random model summed per step (arXiv 1802.00420).
        early_stop: examples that are adversarial are dropped at the next checkpoint. Of a random model go on: what wins
            by some draws may not by others, and does so the more surely the larger its margin is.
    """

    steps: int = 100
    loss: Loss = "cross_entropy"
    eot: int = 1
    early_stop: bool = True

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        lengths = checkpoints(self.steps)
        ends = tf.constant([0, *itertools.accumulate(lengths)])

        def step(index: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            state = {**state, **_move(problem, state, eps, index)}
            return index + 1, self._evaluate(problem, state, eps, redrawn(seed, index * self.eot))

        def advance(interval: tf.Tensor, state: State) -> State:
            # The start is looked at as step 0: were it apart, all that differentiates the model would compile twice.
            first, last = tf.where(interval > 0, ends[interval] + 1, 0), ends[interval + 1]
            _, state = tf.while_loop(lambda index, _: index <= last, step, (first, state))
            return _halve_where_stalled(state, tf.cast(tf.gather(lengths, interval), tf.float32))

        first = project(x, x + eps * start * problem.bounds.scale, eps, problem.norm, problem.bounds)
        return while_active(len(lengths), advance, _begin(x, y, first), ["kept"])["kept"]

    def _evaluate(self, problem: AttackProblem, state: State, eps: tf.Tensor, seed: tf.Tensor) -> State:
        """Evaluate the new point; keep it where it is better than all before."""
        x_adv = state["x_adv"]
        # A win between whole numbers would be rounded away.
        record = as_records_in_graph(state["x"], x_adv, eps, problem.norm, problem.bounds)
        loss, margin, gradient = value_and_grad(problem, record, state["y"], seed, self.loss, self.eot)
        higher, wider = loss > state["best_loss"], margin > state["margin"]
        return {
            **state,
            "loss": loss,
            "gradient": gradient,
            "climbed": state["climbed"] + tf.cast(loss > state["loss"], tf.float32),
            "best": tf.where(per_example(higher, x_adv), x_adv, state["best"]),
            "best_loss": tf.where(higher, loss, state["best_loss"]),
            "best_gradient": tf.where(per_example(higher, x_adv), gradient, state["best_gradient"]),
            "kept": tf.where(per_example(wider, x_adv), x_adv, state["kept"]),
            "margin": tf.where(wider, margin, state["margin"]),
            "done": state["done"] | (margin > 0) if self.early_stop else state["done"],
        }


@dataclass(frozen=True, kw_only=True)
class APGDT(Attack):
    """Targeted Auto-PGD: towards each of the likeliest wrong classes, on the examples that withstood those before.

    Of a regression it tries both sides of the tolerance; a targeted criterion has its one target.

    Attributes:
        steps: gradient steps per target, >= 1.
        targets: wrong classes tried, >= 1; at most all there are.
        eot: see `APGD`.
    """

    steps: int = 100
    targets: int = 9
    eot: int = 1

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        attack = APGD(steps=self.steps, loss="dlr", eot=self.eot)
        criterion, ways = problem.criterion.directions(problem.predict(x, seed), y, self.targets)
        aimed = problem.aimed(criterion)
        attempts = (lambda rows, way=way: attack.perturb(aimed, x[rows], way[rows], eps, seed) for way in ways)
        return until_adversarial(problem, x, y, attempts, eps, seed)


def checkpoints(steps: int) -> list[int]:
    """How many steps lie between checkpoints: 22 % of all at first, then 3 % less each, at least 6 %."""
    ends, percent, width = [0], 22, 22
    while ends[-1] < steps:
        ends.append(min(steps, -(-percent * steps // 100)))
        width = max(width - 3, 6)
        percent += width
    return [end - start for start, end in itertools.pairwise(ends) if end > start]


def _begin(x: tf.Tensor, y: tf.Tensor, first: tf.Tensor) -> State:
    lowest, none = tf.fill(tf.shape(x)[:1], x.dtype.min), tf.zeros(tf.shape(x)[:1], tf.bool)
    points = {"x_adv": first, "previous": first, "best": first, "kept": first}
    gradients = {"gradient": tf.zeros_like(x), "best_gradient": tf.zeros_like(x)}
    numbers = {"loss": lowest, "best_loss": lowest, "margin": lowest, "mark": lowest}
    # That the start lies above nothing at all is no climb.
    counts = {"size": tf.fill(tf.shape(x)[:1], 2.0), "climbed": tf.fill(tf.shape(x)[:1], -1.0)}
    return {"x": x, "y": y, **points, **gradients, **numbers, **counts, "halved": none, "done": none}


def _move(problem: AttackProblem, state: State, eps: tf.Tensor, index: tf.Tensor) -> State:
    """One step; step 0, before any gradient is known, leads nowhere."""
    x, x_adv, norm, bounds = state["x"], state["x_adv"], problem.norm, problem.bounds
    step = eps * per_example(state["size"], x) * steepest_step(state["gradient"], norm, bounds)
    ahead = project(x, x_adv + step, eps, norm, bounds, x_adv)
    share = tf.where(index > 1, MOMENTUM, 1.0)
    ahead = x_adv + share * (ahead - x_adv) + (1 - share) * (x_adv - state["previous"])
    return {"x_adv": project(x, ahead, eps, norm, bounds, x_adv), "previous": x_adv}


def _halve_where_stalled(state: State, length: tf.Tensor) -> State:
    """The two conditions of the paper: too few increases, or no new best although the step stayed."""
    few = state["climbed"] < CLIMBING * length
    stuck = ~state["halved"] & (state["best_loss"] <= state["mark"])
    halve = few | stuck
    rows = per_example(halve, state["x"])
    return {
        **state,
        "x_adv": tf.where(rows, state["best"], state["x_adv"]),
        "previous": tf.where(rows, state["best"], state["previous"]),
        "gradient": tf.where(rows, state["best_gradient"], state["gradient"]),
        "loss": tf.where(halve, state["best_loss"], state["loss"]),
        "size": tf.where(halve, state["size"] / 2, state["size"]),
        "halved": halve,
        "climbed": tf.zeros_like(state["climbed"]),
        "mark": state["best_loss"],
    }
