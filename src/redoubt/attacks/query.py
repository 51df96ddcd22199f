"""Query-based attacks: what they cost, example by example, and the oracle that they query."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack, check_inputs, check_result
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.core.types import Floats, Ints

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class QueryResult:
    """What a query attack came to.

    Attributes:
        x_adv: perturbed inputs `(examples, ...)`.
        queries: number that each example took until it was adversarial or given up, `(examples,)`.
    """

    x_adv: Floats
    queries: Ints


class OracleError(AttackError):
    """The oracle stopped responding.

    Attributes:
        so_far: adversarial examples found before that, the other inputs clean, and the queries spent on each; None
            outside a query attack.
    """

    so_far: QueryResult | None = None


class BudgetError(OracleError):
    """The next queries would exceed the budget."""


class Oracle:
    """Anything that maps arrays to scores, its queries counted: `AttackProblem(of_callable(oracle, classes), ...)`.

    The contract's own check of an attack's first 8 inputs is asked of it too, and counted here, not in `QueryResult`.

    Attributes:
        queries: inputs queried so far.
    """

    def __init__(self, answer: Callable[[Floats], Floats], budget: int | None = None) -> None:
        """Put an answering machine behind a counter.

        Args:
            answer: `(examples, ...) -> scores (examples, outputs)`, such as an `Endpoint`. Scores are logits, or what
                `log_scores` makes of probabilities; an attack refuses probabilities.
            budget: inputs that may be queried in all; None sets no limit.
        """
        self.queries = 0
        self._answer, self._budget = answer, budget

    def __call__(self, x: Floats) -> Floats:
        """Answer `(examples, outputs)`.

        Raises:
            BudgetError: there is no budget left for all examples; none was asked.
        """
        if self._budget is not None and self.queries + len(x) > self._budget:
            raise BudgetError(
                f"{len(x)} more queries would exceed the budget of {self._budget}, of which {self.queries} are spent;"
                " attack fewer examples, or with fewer queries each"
            )
        scores = self._answer(x)
        self.queries += len(x)
        return scores


def log_scores(probabilities: Floats) -> Floats:
    """Logits that have these probabilities, `(examples, classes)`; 0 becomes the smallest float32, so all are finite.

    A service returns probabilities, which saturate where logits do not, so the contract refuses them. Their logarithms
    are logits up to a constant per example: margins are the network's own.
    """
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)


def _margins(problem: AttackProblem, outputs: Floats, y: NDArray[Any]) -> Floats:
    """The criterion's margins of arrays, of classes by one graph: at every query, eager operations would take longer.

    That of a number stays eager, since a graph multiplies by the reciprocal of the tolerance instead of dividing.
    """
    margin: Callable[..., tf.Tensor] = problem.criterion.margin
    if problem.criterion.is_classification:
        key = ("margin", outputs.shape[1:], y.shape[1:], y.dtype)
        if key not in problem.compiled:
            signature = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in (outputs, y)]
            problem.compiled[key] = tf.function(margin, input_signature=signature, autograph=False)
        margin = problem.compiled[key]
    found: Floats = margin(tf.constant(outputs), tf.constant(y)).numpy()
    return found


class Tally:
    """One attack's accounts: what each example has cost and what it came to.

    Attributes:
        x_adv: perturbation kept per example, at first the input itself; an attack writes the adversarial ones.
        queries: per example.
    """

    def __init__(self, problem: AttackProblem, x: Floats, y: NDArray[Any], seed: int) -> None:
        """Open accounts for all examples."""
        self.x_adv = x.copy()
        self.queries: Ints = np.zeros(len(x), np.int64)
        self._problem, self._y, self._seed = problem, y, seed

    def ask(self, x: Floats, rows: Ints) -> Floats:
        """Answers `(candidates, outputs)` for candidates, each on the account of the example of that index.

        Raises:
            OracleError: the oracle stopped responding; carries the accounts.
        """
        try:
            outputs = self._problem.predict(x, self._seed)
        except OracleError as error:
            error.so_far = self.closed()
            raise
        # A model of chance must not meet the same draw at every query.
        self._seed += 1
        np.add.at(self.queries, rows, 1)
        return outputs

    def is_adversarial(self, outputs: Floats, rows: Ints) -> Flags:
        """Where such outputs are what the attacker wants, `(candidates,)`."""
        return self._problem.criterion.is_adversarial(outputs, self._y[rows])

    def margin(self, outputs: Floats, rows: Ints) -> Floats:
        """How far such outputs are past that point, `(candidates,)`: negative until then."""
        return _margins(self._problem, outputs, self._y[rows])

    def closed(self) -> QueryResult:
        """The current accounts."""
        return QueryResult(self.x_adv, self.queries)


@dataclass(frozen=True, kw_only=True)
class QueryAttack(Attack):
    """An attack that sees outputs only; subclasses write `query` only.

    Mutable categories stay as given, since each switch would take a budget of its own; a subclass may say otherwise.

    Attributes:
        queries: budget per example, >= 1; the first is for the input itself.
    """

    queries: int = 1000

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise AttackError(f"queries is {self.queries}; it must be >= 1")

    @abc.abstractmethod
    def query(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> QueryResult:
        """Perturb every example; see `count`, which has checked the arguments and checks the result."""

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        return self.query(problem, x, y, eps, seed).x_adv

    def perturb_and_switch(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """As `perturb`: what it switches is its own affair."""
        return self.perturb(problem, x, y, eps, seed)

    @final
    def count(self, problem: AttackProblem, x: Floats, y: NDArray[Any], *, eps: float, seed: int) -> QueryResult:
        """Attack every example as a call does, and say what it cost.

        Args:
            problem: what is attacked, towards what, within which limits.
            x: inputs in raw units, float32 `(examples, ...)`.
            y: labels or values `(examples,)`.
            eps: largest perturbation, >= 0, in units of `bounds.scale`.
            seed: of the attack's draws and of the model's own randomness.

        Raises:
            AttackError: as in a call; OracleError, which carries what was done so far, if the oracle stops responding.
        """
        check_inputs(problem, x, y, eps)
        queried = self.query(problem, x, y, eps, seed) if len(x) else Tally(problem, x, y, seed).closed()
        check_result(x, queried.x_adv, problem, eps)
        return queried
