"""The gradient of softmax is target minus answer times x; integers for classes depend on the numbering."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss

from redoubt.studies.classification.classifiers import with_one
from redoubt.studies.classification.softmax import (
    RIDGE,
    by_integer,
    cross_entropy,
    descend,
    differences,
    gradient,
    probabilities,
    ridge,
)
from tests.unit.studies.conftest import Run

RNG = np.random.default_rng(4)
COLUMNS, TARGET = with_one(RNG.normal(size=(40, 5))), np.eye(4)[RNG.integers(0, 4, 40)]


@pytest.mark.parametrize("source", ["quick", "course"])
def test_integers_are_worse_and_depend_on_the_numbering(source: str, request: pytest.FixtureRequest) -> None:
    numbers = request.getfixturevalue(source)("softmax").numbers
    assert numbers["accuracy/integers"] + 0.3 < min(numbers["accuracy/one_hot"], numbers["accuracy/softmax"])
    assert numbers["accuracy/numbering_best"] + 0.2 < numbers["accuracy/one_hot"]
    assert numbers["accuracy/numbering_worst"] + 0.05 < numbers["accuracy/numbering_best"]
    assert numbers["neighbours/integers"] > 2 * numbers["neighbours/softmax"]


def test_what_is_claimed_of_softmax(quick: Run) -> None:
    numbers = quick("softmax").numbers
    assert numbers["gradient_off"] < 1e-8
    assert numbers["two_classes_off_sigmoid"] < 1e-12
    assert numbers["constant_off"] < 1e-12
    assert [round(numbers[f"example/y_{index}"], 2) for index in (1, 2, 3)] == [0.88, 0.12, 0.0]


def test_the_gradient_is_keras_and_the_differences() -> None:
    import keras
    import tensorflow as tf

    weights = RNG.normal(size=(6, 4))
    variable = tf.Variable(weights)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(tf.constant(TARGET), tf.constant(COLUMNS) @ variable)
    assert gradient(weights, COLUMNS, TARGET) == pytest.approx(tape.gradient(value, variable).numpy(), abs=1e-6)
    assert gradient(weights, COLUMNS, TARGET) == pytest.approx(differences(weights, COLUMNS, TARGET), abs=1e-8)


def test_cross_entropy_is_scikit_learns() -> None:
    weights = RNG.normal(size=(6, 4))
    expected = log_loss(TARGET.argmax(axis=1), probabilities(COLUMNS @ weights, axis=1), labels=range(4))
    assert cross_entropy(weights, COLUMNS, TARGET) == pytest.approx(expected)


def test_descent_never_climbs() -> None:
    losses = [cross_entropy(descend(COLUMNS, TARGET, steps), COLUMNS, TARGET) for steps in range(6)]
    assert losses[0] == pytest.approx(np.log(4))
    assert losses == sorted(losses, reverse=True)


def test_ridge_is_scikit_learns() -> None:
    other = Ridge(alpha=RIDGE).fit(COLUMNS[:, 1:], TARGET)
    assert COLUMNS @ ridge(COLUMNS, TARGET) == pytest.approx(other.predict(COLUMNS[:, 1:]))


def test_a_regression_on_integers_is_the_columns_weighted_by_them() -> None:
    numbering = np.array([2.0, 0.0, 3.0, 1.0])
    integers = TARGET @ numbering
    direct = COLUMNS @ ridge(COLUMNS, integers[:, None])[:, 0]
    scores = COLUMNS @ ridge(COLUMNS, TARGET)
    assert scores @ numbering == pytest.approx(direct)
    nearest = np.clip(np.round(direct), 0, 3)
    assert numbering[by_integer(scores, numbering).astype(int)].tolist() == nearest.tolist()
