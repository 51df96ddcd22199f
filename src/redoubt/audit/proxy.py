"""Transfer where there are no gradients: a network of the audit's own learns the model's answers and is attacked."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.ensemble import Member
from redoubt.audit.judge import Judge
from redoubt.core.types import Batch, Floats, Measure
from redoubt.scenarios.substitute import Substitute

# Answers beyond those to the examples themselves, and which part of a budget of queries they may take.
MORE, PART = 1000, 4
# Images of smaller sides are read as a row of numbers.
SMALLEST = 8
STEPS, EPOCHS = 40, 10


@dataclass(eq=False)
class Proxy:
    """A network that has learned, by Jacobian augmentation, what the model answers near the examples.

    Attributes:
        judge: of the model; counts what is asked.
        batch: the examples, whose answers are known already.
        scores: those answers.
        answers: how many it learns from, those to the examples included.
        step: of the augmentation, in units of the bounds' scale.
        agreement: share of the examples on which it says what the model says, once it is trained.
    """

    judge: Judge
    batch: Batch
    scores: Floats
    answers: int
    step: float
    agreement: float | None = None
    _network: keras.Model | None = None
    _problem: AttackProblem | None = None

    @property
    def network(self) -> keras.Model:
        """Trained the first time that it is needed.

        Raises:
            OracleError: the model stopped answering.
        """
        if self._network is None:
            network = _untrained(self.batch.x, self.judge.target.width, self.judge.seed)
            growing = Substitute(budget=self.answers, step=self.step, epochs=EPOCHS)
            for _ in growing.rounds(self._ask, network, self.batch.x, self.judge.bounds, seed=self.judge.seed):
                pass
            told = network.predict_on_batch(self.batch.x).argmax(axis=1)
            self.agreement = float(np.mean(told == self.scores.argmax(axis=1)))
            self._network = network
        return self._network

    def problem(self, norm: Measure) -> AttackProblem:
        """The network, to be attacked.

        Raises:
            OracleError: see `network`.
        """
        if self._problem is None:
            self._problem = AttackProblem(of_network(self.network), Untargeted(), norm, self.judge.bounds, "proxy")
        return self._problem

    @property
    def said(self) -> str | None:
        """How good a copy it is; None where it was not needed."""
        if self.agreement is None:
            return None
        return (
            f"a network that learned from {self.answers} of its answers, for transfer, agrees with it on"
            f" {100 * self.agreement:.1f} % of the examples"
        )

    def _ask(self, x: Floats) -> Floats:
        """Answers, those to the examples out of what is known."""
        known = {row.tobytes(): score for row, score in zip(self.batch.x, self.scores, strict=True)}
        keys = [row.tobytes() for row in x]
        new = np.array([key not in known for key in keys])
        if new.any():
            known |= dict(zip(np.array(keys, object)[new], self.judge.oracle(x[new]), strict=True))
        return np.stack([known[key] for key in keys])


@dataclass(frozen=True, kw_only=True)
class Transfer(Attack):
    """Perturbs what is attacked by the gradients of a proxy, with momentum, which transfers best (arXiv 1710.06081).

    Attributes:
        proxy: gives the gradients.
        steps: of the attack on it.
    """

    proxy: Proxy = field(repr=False)
    steps: int = STEPS

    def perturb(self, problem: AttackProblem, x: Floats, y: NDArray[Any], eps: float, seed: int) -> Floats:
        """See `Attack.perturb`."""
        twin = self.proxy.problem(problem.norm)
        return PGD(steps=self.steps, momentum=1.0, loss="margin").perturb(twin, x, y, eps, seed)


def proxy_of(judge: Judge, batch: Batch, scores: Floats, eps: float) -> Proxy | None:
    """A proxy for transfer; None where it is not needed or cannot learn.

    Args:
        judge: of the model.
        batch: the examples.
        scores: the model's on them.
        eps: the largest that is attacked; the proxy learns what is answered as far away.
    """
    if judge.target.gradients is not None or not judge.target.is_classification:
        return None
    answers = len(batch) + (MORE if judge.left is None else min(MORE, judge.left // PART))
    return Proxy(judge, batch, scores, answers, eps)


def transfer(proxy: Proxy | None) -> Member | None:
    """Transfer from a proxy, as a member of the ensemble."""
    if proxy is None:
        return None
    name = f"transfer from a network trained on {proxy.answers} answers"
    return Member(name, Transfer(proxy=proxy), uses_gradients=False)


def _untrained(x: Floats, classes: int, seed: int) -> keras.Model:
    """A small convolutional network for images, a perceptron of two layers for everything else."""
    keras.utils.set_random_seed(seed)
    axes = tuple(range(x.ndim - 1)) if x.ndim == 4 else (0,)
    spread = x.std(axis=axes)
    mean, variance = x.mean(axis=axes), np.where(spread > 0, spread, np.float32(1)) ** 2
    flat = x.ndim != 4 or min(x.shape[1:3]) < SMALLEST
    layers = keras.layers
    body = [layers.Flatten(), layers.Dense(200, "relu"), layers.Dense(200, "relu")]
    if not flat:
        convolutions = [layers.Conv2D(filters, 3, 2, "same", activation="relu") for filters in (16, 32)]
        body = [*convolutions, layers.Flatten(), layers.Dense(100, "relu")]
    scaling = layers.Normalization(axis=-1 if x.ndim in (2, 4) else None, mean=_first(mean), variance=_first(variance))
    return keras.Sequential([keras.Input(x.shape[1:]), scaling, *body, layers.Dense(classes)])


def _first(value: Floats) -> Any:
    return value.tolist() if value.ndim == 1 else float(value.mean())
