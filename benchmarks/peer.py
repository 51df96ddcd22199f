"""ART 1.20's attacks on the same network, in the form of ours: `(x, y) -> perturbed x`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import tensorflow as tf

from benchmarks.mnist import Victim
from redoubt.attacks.core.problem import BATCH
from redoubt.core.types import Floats, Ints

with catch_warnings():
    simplefilter("ignore")  # PyTorch is not here, and need not be.
    from art.attacks.evasion import (
        AutoProjectedGradientDescent,
        CarliniL2Method,
        FastGradientMethod,
        ProjectedGradientDescent,
        SquareAttack,
    )
    from art.estimators.classification import TensorFlowV2Classifier

CLASSES, SHAPE = 10, (28, 28, 1)
# Of Carlini and Wagner's attack: the constant it tries first; Adam's learning rate, ours in pixels, theirs inside tanh.
CONSTANT, LEARNING_RATE = 1.0, 0.05
Run = Callable[[Floats, Ints], Floats]


@dataclass(frozen=True)
class Effort:
    """How much each attack may do, here and in ART.

    Attributes:
        pgd: steps of PGD.
        apgd: steps of APGD.
        queries: answers that Square may take per row.
        restarts: starts of PGD at the end of the ensemble.
        cw_steps: steps of Carlini and Wagner's attack per constant.
        cw_searches: constants it tries.
        cw_points: rows that it attacks.
        repeats: timed runs of a cheap attack.
    """

    pgd: int = 40
    apgd: int = 100
    queries: int = 1000
    restarts: int = 5
    cw_steps: int = 30
    cw_searches: int = 3
    cw_points: int = 100
    repeats: int = 3


@dataclass(frozen=True, eq=False)
class Peer:
    """ART at its best: the compiled classifier, our batch size, which is far above its own defaults."""

    victim: Victim
    effort: Effort
    step: float
    seed: int

    def fgsm(self) -> Run:
        """FGSM."""
        return self._run(FastGradientMethod(self._classifier(), eps=self.victim.eps, batch_size=BATCH))

    def pgd(self) -> Run:
        """PGD from one random start."""
        return self._run(
            ProjectedGradientDescent(
                self._classifier(),
                eps=self.victim.eps,
                eps_step=self.step,
                max_iter=self.effort.pgd,
                num_random_init=1,
                batch_size=BATCH,
                verbose=False,
            )
        )

    def apgd(self, loss: str) -> Run:
        """Auto-PGD from one random start; `cross_entropy` or `difference_logits_ratio`."""
        return self._run(
            AutoProjectedGradientDescent(
                self._classifier(),
                eps=self.victim.eps,
                eps_step=2 * self.victim.eps,
                max_iter=self.effort.apgd,
                nb_random_init=1,
                batch_size=BATCH,
                loss_type=loss,
                verbose=False,
            )
        )

    def square(self) -> Run:
        """Square in L-inf; its own first two queries are not among its iterations."""
        iterations = self.effort.queries - 2
        return self._run(
            SquareAttack(self._classifier(), eps=self.victim.eps, max_iter=iterations, batch_size=BATCH, verbose=False)
        )

    def carlini_wagner(self) -> Run:
        """Carlini and Wagner's L2 attack."""
        return self._run(
            CarliniL2Method(
                self._classifier(),
                max_iter=self.effort.cw_steps,
                binary_search_steps=self.effort.cw_searches,
                initial_const=CONSTANT,
                learning_rate=LEARNING_RATE,
                batch_size=BATCH,
                verbose=False,
            )
        )

    def _run(self, attack: Any) -> Run:
        def run(x: Floats, y: Ints) -> Floats:
            np.random.seed(self.seed)  # ART draws from the global generator.
            return attack.generate(x, np.eye(CLASSES, dtype=np.float32)[y])

        return run

    def _classifier(self) -> TensorFlowV2Classifier:
        return TensorFlowV2Classifier(
            model=self.victim.network,
            nb_classes=CLASSES,
            input_shape=SHAPE,
            loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            clip_values=(0.0, 1.0),
        )
