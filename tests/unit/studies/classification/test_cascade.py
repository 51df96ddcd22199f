"""No line has more than three of the four points; distances and two learned units have all."""

import numpy as np
import pytest

from redoubt.studies.classification.cascade import (
    CLASSES,
    POINTS,
    Cascade,
    Sizes,
    accuracy,
    begin,
    distances,
    entropy,
    learn,
    slopes,
)
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run, find


def test_a_line_fails_and_the_best_logistic_regression_knows_nothing(quick: Run) -> None:
    numbers = quick("cascade").numbers
    assert numbers["accuracy/best_line"] == 0.75
    assert numbers["loss/logistic"] == pytest.approx(np.log(2))
    assert numbers["accuracy_nearby/logistic"] < 0.8


def test_distances_and_a_cascade_solve_it(quick: Run) -> None:
    numbers = quick("cascade").numbers
    for name in ("distances", "cascade"):
        assert numbers[f"accuracy/{name}"] == 1
        assert numbers[f"loss/{name}"] < 0.1
        assert numbers[f"accuracy_nearby/{name}"] > 0.85


def test_one_unit_never_does_and_more_units_do_more_often(quick: Run) -> None:
    numbers = quick("cascade").numbers
    assert numbers["solved/1_units"] == 0
    assert 0.3 < numbers["solved/2_units"] < 1
    assert numbers["solved/8_units"] > 0.95
    assert numbers["solved/2_units"] < numbers["solved/4_units"]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_claims_are_not_luck(seed: int) -> None:
    numbers = find("cascade").run(Given(course=False, seed=seed), Sizes(starts=20), seed).numbers
    assert numbers["accuracy/cascade"] == 1
    assert numbers["solved/8_units"] >= numbers["solved/2_units"] > 0


def test_slopes_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 2)), (rng.random(7) > 0.5).astype(float)
    cascade = Cascade(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5)))
    found = slopes(cascade, x, y)
    for name in ("first", "last"):
        weights = getattr(cascade, name)
        for place in np.ndindex(weights.shape):
            losses = []
            for sign in (1, -1):
                moved = {"first": cascade.first.copy(), "last": cascade.last.copy()}
                moved[name][place] += sign * 1e-5
                losses.append(entropy(Cascade(**moved).answer(x), y)[place[0]])
            assert getattr(found, name)[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-8)


def test_a_cascade_is_a_keras_network() -> None:
    import keras

    cascade = learn(begin(np.random.default_rng(0), 2, 3), Sizes(steps=5))[0]
    layers = [keras.layers.Dense(2, "sigmoid"), keras.layers.Dense(1, "sigmoid")]
    network = keras.Sequential([keras.Input((2,)), *layers])
    for start in range(3):
        first, last = cascade.take(start).first[0], cascade.take(start).last[0]
        network.set_weights([first[1:], first[0], last[1:, None], last[:1]])
        assert cascade.answer(POINTS)[start] == pytest.approx(np.array(network(POINTS))[:, 0], abs=1e-6)


def test_in_the_distances_class_1_is_one_point() -> None:
    far = distances(POINTS)
    assert far[1].tolist() == far[2].tolist() == [1.0, 1.0]
    assert far[0] == pytest.approx([0, np.sqrt(2)])
    assert far[3] == pytest.approx([np.sqrt(2), 0])


def test_a_half_is_not_class_1() -> None:
    assert accuracy(np.full(4, 0.5), CLASSES) == 0.5
