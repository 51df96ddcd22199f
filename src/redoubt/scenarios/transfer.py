"""Black box as taught: perturbations made on a proxy (arXiv 1611.02770), or on a substitute grown from an open API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.problem import AttackError, AttackProblem, OfCallable, Outputs
from redoubt.core.types import Floats

Table = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Transfers:
    """How far adversarial examples transfer from one model to another; tables are `[maker][target]`, shares in 0..1.

    Attributes:
        success_rate: share misclassified by the target, of the examples that every model classifies correctly. All
            cells share these examples, as in arXiv 1611.02770: a weak target's own mistakes are not
            counted as the attacker's.
        accuracy: of the target on all perturbed examples.
        clean: accuracy of each model on all examples.
        rows: how many examples every model classifies correctly.
    """

    success_rate: Table
    accuracy: Table
    clean: dict[str, float]
    rows: int


def transfer_matrix(
    problems: Mapping[str, AttackProblem],
    attack: Attack,
    x: Floats,
    y: NDArray[Any],
    *,
    eps: float,
    seed: int,
    bar: "tqdm[Any] | None" = None,
) -> Transfers:
    """Attack each model with the perturbations made on every other one, and on itself.

    A model without gradients, see `of_callable`, is attacked with those of the others alone.

    Args:
        problems: by the model's name; untargeted, of one norm and one box.
        attack: that makes the perturbations. One that stops where it has succeeded carries over less.
        x: inputs in raw units `(examples, ...)`.
        y: labels or values `(examples,)`.
        eps: size of the perturbations.
        seed: of the attack and of the models' own randomness.
        bar: moved on by one per maker.

    Raises:
        AttackError: no example is classified correctly by all, or the attack cannot be run.
    """
    right = {name: _right(problem, x, y, seed) for name, problem in problems.items()}
    shared = np.all(list(right.values()), axis=0)
    if not shared.any():
        names = ", ".join(problems)
        raise AttackError(f"none of {len(x)} examples is classified correctly by all of {names}; give others")
    success_rate: Table = {}
    accuracy: Table = {}
    for maker, problem in problems.items():
        if isinstance(problem.outputs, OfCallable):
            continue
        x_adv = attack(problem, x, y, eps=eps, seed=seed)
        still = {name: _right(target, x_adv, y, seed) for name, target in problems.items()}
        success_rate[maker] = {name: float(np.mean(~flags[shared])) for name, flags in still.items()}
        accuracy[maker] = {name: float(np.mean(flags)) for name, flags in still.items()}
        if bar is not None:
            bar.update()
    clean = {name: float(np.mean(flags)) for name, flags in right.items()}
    return Transfers(success_rate, accuracy, clean, int(shared.sum()))


def ensemble_outputs(members: Sequence[Outputs]) -> Outputs:
    """Several proxies as one: the mean of their logits (arXiv 1710.06081).

    What fools all of them is more likely to fool one more (arXiv 1611.02770). The mean of log-softmax is the same
    up to a constant per example, which no loss sees.

    Raises:
        AttackError: no members.
    """
    if not members:
        raise AttackError("an ensemble needs at least one member; got none")
    return lambda x, seed: tf.add_n([outputs(x, seed) for outputs in members]) / len(members)


def _right(problem: AttackProblem, x: Floats, y: NDArray[Any], seed: int) -> NDArray[np.bool_]:
    return ~problem.criterion.is_adversarial(problem.predict(x, seed), y)
