"""The losses, against their formulas, for few classes and many."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from redoubt.attacks.core import losses
from redoubt.core.types import Floats

CLASSES = [2, 3, 10]
by_classes = pytest.mark.parametrize("classes", CLASSES)


def draw(classes: int, rows: int = 40) -> tuple[Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(classes)
    return rng.normal(0, 3, (rows, classes)).astype(np.float32), rng.integers(classes, size=rows)


def best_other(logits: Floats, y: NDArray[np.int64]) -> Floats:
    return np.array([np.delete(row, label).max() for row, label in zip(logits, y, strict=True)])


@by_classes
def test_the_margin_is_positive_where_another_class_leads(classes: int) -> None:
    logits, y = draw(classes)
    found = losses.margin(tf.constant(logits), tf.constant(y)).numpy()
    assert np.allclose(found, best_other(logits, y) - logits[np.arange(len(y)), y], atol=1e-6)
    assert np.array_equal(found > 0, logits.argmax(axis=1) != y)


@by_classes
def test_dlr_is_the_margin_over_the_lead_of_the_first_over_the_third(classes: int) -> None:
    logits, y = draw(classes)
    margin = best_other(logits, y) - logits[np.arange(len(y)), y]
    ordered = -np.sort(-logits, axis=1)
    expected = margin / (ordered[:, 0] - ordered[:, 2]) if classes > 2 else margin
    assert np.allclose(losses.dlr(tf.constant(logits), tf.constant(y)), expected, rtol=1e-4)


@by_classes
def test_targeted_dlr_is_the_lead_of_the_target_over_the_true_class(classes: int) -> None:
    logits, y = draw(classes)
    target = (y + 1) % classes
    rows = np.arange(len(y))
    gap, ordered = logits[rows, target] - logits[rows, y], -np.sort(-logits, axis=1)
    expected = gap / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2) if classes > 3 else gap
    found = losses.dlr_toward(tf.constant(logits), tf.constant(y), tf.constant(target))
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("factor", [1e-3, 1e3, 1e6], ids=str)
def test_dlr_does_not_care_how_sure_a_model_is(classes: int, factor: float) -> None:
    logits, y = draw(classes)
    plain = losses.dlr(tf.constant(logits), tf.constant(y)).numpy()
    assert np.allclose(losses.dlr(tf.constant(factor * logits), tf.constant(y)), plain, rtol=1e-3)
    if classes > 3:
        toward = [losses.dlr_toward(tf.constant(f * logits), y, (y + 1) % classes) for f in (1.0, factor)]
        assert np.allclose(*toward, rtol=1e-3)


@by_classes
@settings(max_examples=12)
@given(data=st.data())
def test_no_logits_give_nan(classes: int, data: st.DataObject) -> None:
    """Ties and logits of any size included: neither the loss nor its gradient."""
    sizes = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e6, -1e6]) | st.floats(-100, 100, width=32)
    logits = tf.constant(data.draw(arrays.arrays(np.float32, (3, classes), elements=sizes)))
    y = tf.constant(data.draw(arrays.arrays(np.int64, 3, elements=st.integers(0, classes - 1))))
    target = (y + 1) % classes
    kinds = [losses.cross_entropy, losses.margin, losses.dlr, lambda z, y: losses.dlr_toward(z, y, target)]
    for kind in kinds:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = kind(logits, y)
        assert loss.shape == (3,)
        assert np.isfinite(loss.numpy()).all()
        assert np.isfinite(tape.gradient(loss, logits).numpy()).all()
