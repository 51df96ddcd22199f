"""The base of all attacks: an author writes `perturb`; inputs are checked before and results after."""

import abc
import math
import re
from collections.abc import Callable
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.geometry import as_records, distance, random_start, round_integers
from redoubt.attacks.core.problem import BATCH, AttackError, AttackProblem
from redoubt.attacks.core.switching import over_switches
from redoubt.bundle.batches import slices
from redoubt.bundle.switches import Switches
from redoubt.core.types import Bounds, Floats

# What rounding each to bfloat16 may take off a sum of probabilities.
ROUNDED = 2.0**-8


class Attack(abc.ABC):
    """Base of all attacks; subclasses are frozen dataclasses and write `perturb` only."""

    @abc.abstractmethod
    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """Perturb every example; `__call__` has checked the arguments, makes valid records of it and checks them."""

    def perturb_and_switch(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """Perturb every example, mutable categories too: from the most promising switches, unless written otherwise."""
        return over_switches(self.perturb, problem, x, y, eps, seed)

    @final
    def __call__(self, problem: AttackProblem, x: Floats, y: NDArray[Any], *, eps: float, seed: int) -> Floats:
        """Attack every example.

        Args:
            problem: what is attacked, towards what, within which limits.
            x: inputs in raw units, float32 `(examples, ...)`.
            y: labels or values `(examples,)`.
            eps: largest perturbation, >= 0, in units of `bounds.scale`.
            seed: of the random starts and of the model's own randomness.

        Returns:
            Perturbed inputs, inside the bounds and within eps of x; integer inputs that were whole still are, relations
            that held still do, and no more mutable categories are switched than may be.

        Raises:
            AttackError: eps < 0, unusable inputs, outputs that are probabilities, a result outside the ball.
        """
        check_inputs(problem, x, y, eps)
        result = self.perturb_and_switch(problem, x, y, eps, seed) if len(x) else x.copy()
        _check_shape(x, result)
        result = as_records(x, result, eps, problem.norm, problem.bounds)
        check_result(x, result, problem, eps)
        return result


class GradientAttack(Attack):
    """An attack that is one piece of graph code per batch; subclasses write `run` only."""

    @property
    def starts_at_random(self) -> bool:
        """Whether `start` is a random point of the unit ball rather than its centre."""
        return True

    @property
    def uses_gradients(self) -> bool:
        """Whether it needs the gradient of the model at all."""
        return True

    @abc.abstractmethod
    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Perturb one batch, as graph code.

        Args:
            problem: what is attacked.
            x: inputs `(examples, ...)`.
            y: labels or values `(examples,)`.
            start: a point of the unit ball per example.
            eps: size of the perturbation, a scalar.
            seed: `(2,)` int32 for randomness inside the model.
        """

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        if self.uses_gradients:
            check_gradient(problem, x)
        start = np.zeros_like(x)
        if self.starts_at_random:
            start = random_start(np.random.default_rng(seed), x.shape, problem.norm)
        run = self._compile(problem, x, y)
        x_adv = [
            run(x[part], y[part], start[part], np.float32(eps), [seed % 2**31, part.start]).numpy()
            for part in slices(len(x), BATCH)
        ]
        return np.concatenate(x_adv)

    def _compile(self, problem: AttackProblem, x: Floats, y: NDArray[Any]) -> Callable[..., tf.Tensor]:
        if self not in problem.compiled:
            rows = tf.TensorSpec((None, *x.shape[1:]), tf.float32)
            labels, eps = tf.TensorSpec((None, *y.shape[1:]), y.dtype), tf.TensorSpec((), tf.float32)
            signature = [rows, labels, rows, eps, tf.TensorSpec((2,), tf.int32)]

            def run(x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
                return self.run(problem, x, y, start, eps, seed)

            problem.compiled[self] = tf.function(run, input_signature=signature, autograph=False)
        return problem.compiled[self]


def check_inputs(problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float) -> None:
    """Refuse what cannot be attacked; the model answers for the first 8 inputs.

    Raises:
        AttackError: names what came and what was expected.
    """
    if not 0 <= eps < math.inf:
        raise AttackError(f"eps is {eps}; it must be >= 0 and finite")
    if len(x) != len(y):
        raise AttackError(f"{len(x)} inputs came with {len(y)} labels")
    if y.shape[1:] == (1,):
        raise AttackError(f"the labels have shape {y.shape}; expected {y.shape[:1]}: pass y[:, 0]")
    try:
        problem.bounds.check(x)
        outputs = problem.outputs(tf.constant(x[:8]), tf.zeros(2, tf.int32)).numpy()
    except AttackError:
        raise
    except ValueError as error:
        raise AttackError(f"the inputs cannot be attacked: {error}") from None
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
        raise AttackError(f"the model fails on these inputs: {first_sentence(error)}") from None
    if not np.isfinite(outputs).all():
        raise AttackError("the model outputs NaN or infinity for clean inputs")
    if not problem.criterion.is_classification:
        return
    if len(y) and not (y.min() >= 0 and y.max() < outputs.shape[1]):
        raise AttackError(f"labels span {y.min()}..{y.max()}; the model has classes 0..{outputs.shape[1] - 1}")
    if len(x) and (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=ROUNDED):
        raise AttackError("the outputs are probabilities (they sum to 1); attack the logits: drop the last softmax")


def check_gradient(problem: AttackProblem, x: Floats) -> None:
    """Refuse a model whose outputs do not depend on the inputs smoothly anywhere, such as one that looks words up.

    Raises:
        AttackError: no gradient reaches the inputs.
    """
    if "has a gradient" in problem.compiled:
        return
    first = tf.constant(x[:1])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(first)
        outputs = problem.outputs(first, tf.zeros(2, tf.int32))
    if tape.gradient(outputs, first) is None:
        raise AttackError(
            "no gradient of the model reaches its inputs (they are looked up, binned or cast to whole numbers):"
            " use an attack that needs queries only, such as square"
        )
    problem.compiled["has a gradient"] = True


def first_sentence(error: tf.errors.OpError) -> str:
    """What TensorFlow says without its colours, the name of its kernel and what it called with."""
    said = re.sub(r"\x1b\[\d*m|\{\{.*?\}\}", "", error.message).strip().splitlines()
    lines = [line.strip() for line in said if line.strip() and not line.startswith("Exception encountered")]
    return (lines or ["no reason given"])[0]


def _check_shape(x: Floats, x_adv: Floats) -> None:
    if x_adv.shape != x.shape:
        raise AttackError(f"the attack returned shape {x_adv.shape} for inputs of shape {x.shape}")


def check_result(x: Floats, x_adv: Floats, problem: AttackProblem, eps: float) -> None:
    """Re-check shape, numbers, bounds, whole numbers, relations, categories and distance, trusting nobody.

    Raises:
        AttackError: names the rule that was broken.
    """
    _check_shape(x, x_adv)
    try:
        problem.bounds.check(x_adv)
    except ValueError as error:
        raise AttackError(f"the attack left the bounds: {error}") from None
    broken = round_integers(x, x_adv, problem.bounds) != x_adv
    if broken.any():
        raise AttackError(f"the attack made an integer input {x_adv[broken][0]}; it must stay a whole number")
    check_relations(x, x_adv, problem.bounds)
    check_switches(x, x_adv, problem.bounds.switches, eps)
    # Raw units of a table reach thousands, where float32 itself is coarse; what must not change has no such excuse.
    coarse = np.where(problem.bounds.scale > 0, 1e-6 * np.abs(x), 0.0)
    change = np.sign(x_adv - x) * np.maximum(np.abs(x_adv - x) - coarse, 0.0)
    far = distance(change, problem.norm, problem.bounds).max(initial=0.0)
    if far > eps * (1 + 1e-4):
        raise AttackError(f"the attack perturbed an input by {far:g} ({problem.norm}); allowed is eps = {eps:g}")


def check_switches(x: Floats, x_adv: Floats, switches: Switches | None, eps: float) -> None:
    """Refuse a perturbation that tears a category, or switches more of them than may be.

    Raises:
        AttackError: names the columns.
    """
    if switches is None or not len(x):
        return
    torn, switched = switches.torn(x, x_adv), switches.switched(x, x_adv)
    if torn.any():
        name = switches.names[int(torn.any(axis=0).argmax())]
        raise AttackError(f"the attack left no single category in '{name}'; one of its inputs must be 1, all others 0")
    most = switches.most if eps > 0 else 0
    worst = int(switched.sum(axis=1).argmax())
    if switched[worst].sum() > most:
        names = [name for name, each in zip(switches.names, switched[worst], strict=True) if each]
        raise AttackError(f"the attack switched {', '.join(names)} of an example; allowed are {most} of its categories")


def check_relations(x: Floats, x_adv: Floats, bounds: Bounds) -> None:
    """Refuse a perturbation that breaks a relation between columns which holds before it.

    Raises:
        AttackError: names the relation, and how many examples break it.
    """
    if bounds.relations is None or not len(x):
        return
    broken = bounds.relations.broken(x, x_adv)
    if broken.any():
        worst = int(broken.sum(axis=0).argmax())
        raise AttackError(
            f"the attack broke the relation '{bounds.relations.each[worst].text}' in {int(broken[:, worst].sum())} of"
            f" {len(x)} examples; it must hold wherever it holds before the attack"
        )
