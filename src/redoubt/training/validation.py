"""What is measured after every epoch of a hardening: shares right on inputs, on attacked ones, on whole balls."""

from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.problem import BATCH, AttackProblem
from redoubt.bundle.batches import slices
from redoubt.certify.interval import is_bounded
from redoubt.certify.worst_case import ball, worst_outputs
from redoubt.core.types import Batch, Floats

# What an epoch's loss may be taken of.
Judged = Literal["natural", "pgd", "certified", "noisy"]


@dataclass(frozen=True, eq=False)
class RobustValidation:
    """Measures a network; its `loss`, which chooses the best weights, is taken where `judged` says.

    Attributes:
        network: measured.
        problem: the threat, on this network.
        attack: tried at full eps, from the same random starts every time.
        eps: at full size.
        batch: validation examples.
        judged: `pgd`, `certified` (bounds over the L-inf ball) or `noisy`.
        sigma: of the noise, if that is judged.
        held_out: training examples kept back to watch over a one-step attack; the attack on them is `held_out`.
    """

    network: keras.Model
    problem: AttackProblem
    attack: Attack
    eps: float
    batch: Batch
    judged: Judged
    sigma: float = 0.0
    held_out: Batch | None = None
    compiled: dict[str, Any] = field(default_factory=dict, repr=False)

    def __call__(self) -> dict[str, float]:
        """Shares of examples right: `natural`, `pgd`, `certified` or `noisy` where it applies; and the loss."""
        x, y = self.batch.x, self.batch.y
        outputs = {"natural": self._answers(x), "pgd": self._answers(self._x_adv(self.batch))}
        if self.judged == "certified" or (self.problem.norm == "linf" and is_bounded(self.network)):
            outputs["certified"] = self._worst(x, y)
        if self.judged == "noisy":
            noise = np.random.default_rng(0).standard_normal(x.shape, dtype=np.float32)
            outputs["noisy"] = self._answers(x + self.sigma * noise * self.problem.bounds.scale)
        criterion = self.problem.criterion
        loss = float(tf.reduce_mean(criterion.loss(tf.constant(outputs[self.judged]), tf.constant(y))))
        found = {
            "loss": loss,
            **{name: float(1.0 - criterion.is_adversarial(each, y).mean()) for name, each in outputs.items()},
        }
        if self.held_out is not None:
            x_adv = self._answers(self._x_adv(self.held_out))
            found["held_out"] = float(1.0 - criterion.is_adversarial(x_adv, self.held_out.y).mean())
        return found

    def _x_adv(self, batch: Batch) -> Floats:
        return self.attack(self.problem, batch.x, batch.y, eps=self.eps, seed=0)

    def _answers(self, x: Floats) -> Floats:
        return self.problem.predict(x.astype(np.float32))

    def _worst(self, x: Floats, y: NDArray[Any]) -> Floats:
        if "worst" not in self.compiled:

            def worst(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
                return worst_outputs(self.network, ball(x, self.eps, self.problem.bounds), y, self.problem.criterion)

            self.compiled["worst"] = tf.function(worst, reduce_retracing=True, autograph=False)
        return np.concatenate([self.compiled["worst"](x[rows], y[rows]).numpy() for rows in slices(len(x), BATCH)])
