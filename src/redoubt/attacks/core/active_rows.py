"""Skip examples that are already adversarial: within an attack those done are dropped, between attacks all found."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import as_records
from redoubt.attacks.core.problem import AttackProblem
from redoubt.core.types import Floats, Ints

State = dict[str, tf.Tensor]


def until_adversarial(
    problem: AttackProblem,
    x: Floats,
    y: NDArray[Any],
    attempts: Iterable[Callable[[Ints], Floats]],
    eps: float,
    seed: int,
) -> Floats:
    """Make one attempt after another, each on the examples that withstood all before it.

    Args:
        problem: what is attacked.
        x: inputs `(examples, ...)`.
        y: labels or values `(examples,)`.
        attempts: each takes the indices of some examples and perturbs those examples.
        eps: that they keep within.
        seed: of the model's own randomness where success is judged.

    Returns:
        The perturbation that fooled the model on an example, or else the last one tried.
    """
    x_adv, active = x.copy(), np.arange(len(x))
    for attempt in attempts:
        if not len(active):
            break
        x_adv[active] = as_records(x[active], attempt(active), eps, problem.norm, problem.bounds)
        adversarial = problem.criterion.is_adversarial(problem.predict(x_adv[active], seed), y[active])
        active = active[~adversarial]
    return x_adv


def while_active(
    rounds: int, advance: Callable[[tf.Tensor, State], State], state: State, wanted: Iterable[str]
) -> State:
    """Advance a batch round by round, as graph code, dropping the examples that are done after each round.

    Args:
        rounds: how many at most.
        advance: `(round, state of some examples) -> their next state`.
        state: per-example tensors `(examples, ...)`; "done", boolean, marks the examples that need no more work.
        wanted: what to return of the state; the rest of an example is forgotten once it is done.

    Returns:
        That of all examples, each as it was when it was done.
    """

    def one(index: tf.Tensor, rows: tf.Tensor, part: State, whole: State) -> tuple[tf.Tensor, tf.Tensor, State, State]:
        part = advance(index, part)
        places = rows[:, None]
        whole = {name: tf.tensor_scatter_nd_update(whole[name], places, part[name]) for name in whole}
        left = tf.where(~part["done"])[:, 0]
        return index + 1, tf.gather(rows, left), {name: tf.gather(part[name], left) for name in part}, whole

    loop = (tf.constant(0), tf.range(tf.shape(state["done"])[0]), state, {name: state[name] for name in wanted})
    shapes = tf.nest.map_structure(lambda rows: tf.TensorShape([None, *rows.shape[1:]]), loop[1:])
    *_, whole = tf.while_loop(
        lambda index, rows, *_: (index < rounds) & (tf.size(rows) > 0),
        one,
        loop,
        shape_invariants=(tf.TensorShape([]), *shapes),
    )
    return whole
