"""ART 1.20 as oracle: at an equal budget, its Square attack leaves no less standing than ours."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import SquareAttack
from art.estimators.classification import TensorFlowV2Classifier

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.square import Square
from redoubt.core.types import PIXELS, Norm
from tests.support import tiny

ART_NORMS = {"linf": np.inf, "l2": 2}
EPS: dict[Norm, float] = {"linf": 0.3, "l2": 3.2}
SEEDS, QUERIES, POINTS = range(2), 150, 0.015


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_more_stands_than_under_arts(trained: Callable[[str], tiny.Case], norm: Norm) -> None:
    case, batch = trained(tiny.IMAGE), tiny.rows(tiny.IMAGE, 96, seed=5)
    # Twice as large, since ART divides by 0 in L2 where an image is smaller than 10 x 10.
    network = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.AveragePooling2D(2), case.network])
    x = batch.x.repeat(2, axis=1).repeat(2, axis=2)
    classifier = TensorFlowV2Classifier(
        model=network,
        nb_classes=case.schema.outputs,
        input_shape=x.shape[1:],
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=(0.0, 1.0),
    )
    problem = AttackProblem(of_network(network), Untargeted(), norm, PIXELS)
    theirs = SquareAttack(
        classifier, norm=ART_NORMS[norm], eps=EPS[norm], max_iter=QUERIES, p_init=0.8, batch_size=96, verbose=False
    )

    def robust_accuracy(x_adv: np.ndarray) -> float:
        """ART's count only inside the ball too; in L2 it divides by 0 on the way."""
        sound = distance(np.nan_to_num(x_adv, nan=np.inf) - x, norm, PIXELS) <= EPS[norm] * (1 + 1e-4)
        return float(np.mean(~(sound & Untargeted().is_adversarial(problem.predict(x_adv), batch.y))))

    ours, arts = [], []
    for seed in SEEDS:
        ours.append(robust_accuracy(Square(queries=QUERIES)(problem, x, batch.y, eps=EPS[norm], seed=seed)))
        np.random.seed(seed)
        with np.errstate(all="ignore"):
            arts.append(robust_accuracy(theirs.generate(x, np.eye(case.schema.outputs, dtype=np.float32)[batch.y])))
    assert np.mean(arts) < 0.95, "the attack must have something to do"
    assert np.mean(ours) <= np.mean(arts) + POINTS, (ours, arts)
