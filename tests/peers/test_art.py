"""ART 1.20 as oracle: on the same weights and inputs, the same adversarial examples or as many."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import AutoProjectedGradientDescent, FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.types import PIXELS, Norm
from tests.support import tiny

STEPS, STEP, EPS = 10, 0.25, 0.2
ART_NORMS = {"linf": np.inf, "l2": 2}


@pytest.fixture(scope="module")
def pictures(trained: Callable[[str], tiny.Case]) -> tiny.Case:
    """The tiny image task and its network."""
    return trained(tiny.IMAGE)


@pytest.fixture(scope="module")
def classifier(pictures: tiny.Case) -> TensorFlowV2Classifier:
    """The same network as ART sees it."""
    return TensorFlowV2Classifier(
        model=pictures.network,
        nb_classes=pictures.schema.outputs,
        input_shape=pictures.schema.shape,
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=(0.0, 1.0),
    )


# Every two of attack, norm and aim.
@pytest.mark.parametrize(
    ("name", "norm", "targeted"),
    [("fgsm", "linf", True), ("fgsm", "l2", False), ("pgd", "linf", False), ("pgd", "l2", True)],
    ids=["fgsm-linf-targeted", "fgsm-l2-untargeted", "pgd-linf-untargeted", "pgd-l2-targeted"],
)
def test_same_examples(
    pictures: tiny.Case, classifier: TensorFlowV2Classifier, name: str, norm: Norm, targeted: bool
) -> None:
    x = pictures.test.x[:32]
    y = (pictures.test.y[:32] + targeted) % pictures.schema.outputs
    problem = AttackProblem(of_network(pictures.network), Targeted() if targeted else Untargeted(), norm, PIXELS)
    common = {"norm": ART_NORMS[norm], "eps": EPS, "targeted": targeted, "num_random_init": 0, "batch_size": 32}
    if name == "fgsm":
        ours, theirs = fgsm(), FastGradientMethod(classifier, **common)
    else:
        ours = PGD(steps=STEPS, step_size=STEP, random_start=False)
        theirs = ProjectedGradientDescent(
            classifier, eps_step=STEP * EPS, max_iter=STEPS, decay=None, verbose=False, **common
        )
    expected = theirs.generate(x, np.eye(pictures.schema.outputs, dtype=np.float32)[y])
    np.testing.assert_allclose(ours(problem, x, y, eps=EPS, seed=0), expected, atol=1e-5)
    assert np.abs(expected - x).max() > EPS / 10


@pytest.mark.parametrize(
    ("norm", "eps", "loss", "art_loss"),
    [("linf", 0.2, "dlr", "difference_logits_ratio"), ("l2", 1.0, "cross_entropy", "cross_entropy")],
)
def test_apgd_leaves_no_more_standing(
    pictures: tiny.Case, classifier: TensorFlowV2Classifier, norm: Norm, eps: float, loss: Loss, art_loss: str
) -> None:
    """At equal steps, step sizes and starts, robust accuracy is at most 1.5 points above ART's."""
    batch = tiny.rows(tiny.IMAGE, 200, seed=7)
    theirs = AutoProjectedGradientDescent(
        classifier,
        norm=ART_NORMS[norm],
        eps=eps,
        eps_step=2 * eps,
        max_iter=10,
        nb_random_init=1,
        batch_size=200,
        loss_type=art_loss,
        verbose=False,
    )
    np.random.seed(0)  # ART draws its starts from the global generator.
    expected = theirs.generate(batch.x, np.eye(pictures.schema.outputs, dtype=np.float32)[batch.y])
    problem = AttackProblem(of_network(pictures.network), Untargeted(), norm, PIXELS)
    x_adv = APGD(steps=10, loss=loss)(problem, batch.x, batch.y, eps=eps, seed=0)
    clean, left, art_left = (
        np.mean(pictures.network(x).numpy().argmax(axis=1) == batch.y) for x in (batch.x, x_adv, expected)
    )
    assert 0 < left <= art_left + 0.015
    assert art_left < clean
