"""Stickers: where they lie, what they cover, and that they mislead more than noise does."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.core.types import PIXELS, Bounds, Norm
from redoubt.scenarios.patch import Patch, PatchLearning, Placing, fooling_rate, stick
from tests.support.threats import Threat
from tests.support.tiny import IMAGE, TABLE, rows

TRAIN, TEST = rows(IMAGE, 128, seed=5), rows(IMAGE, 100, seed=6)
LEARN = PatchLearning(side=3, steps=40, batch=32, step_size=0.1)
STRAIGHT = Placing(rotation=0.0, scale=0.0)


@pytest.fixture(scope="module")
def pictures(threats: Callable[[str, Norm], Threat]) -> Threat:
    return threats(IMAGE, "linf")


def test_a_sticker_covers_its_own_pixels_and_no_others() -> None:
    x = np.random.default_rng(0).uniform(size=(1, 9, 8, 3)).astype(np.float32)
    pixels = np.random.default_rng(1).uniform(size=(3, 3, 3)).astype(np.float32)
    stuck = stick(tf.constant(x), tf.constant(pixels), tf.constant([[0.0, 1.0, 2.0, 5.0]])).numpy()
    expected = x.copy()
    expected[0, 1:4, 4:7] = pixels
    assert np.allclose(stuck, expected, atol=1e-5)
    turned = stick(tf.constant(x), tf.constant(pixels), tf.constant([[90.0, 1.0, 2.0, 5.0]])).numpy()
    expected[0, 1:4, 4:7] = np.rot90(pixels)
    assert np.allclose(turned, expected, atol=1e-5)


def test_places_are_all_over_the_picture_at_all_angles_and_inside() -> None:
    rng = np.random.default_rng(0)
    places = Placing(rotation=180, scale=0.2).draw(rng, 4000, side=5, size=(20, 12))
    angle, factor, row, column = places.T
    assert (angle.min() < -175, angle.max() > 175) == (True, True)
    assert (factor.min(), factor.max()) == pytest.approx((0.8, 1.2), abs=0.01)
    for middle, length in ((row, 20), (column, 12)):
        assert np.all(middle - 2.5 * factor >= -0.5 - 1e-4)
        assert np.all(middle + 2.5 * factor <= length - 0.5 + 1e-4)
        assert middle.max() - middle.min() > length - 5.5
    crowded = Placing(scale=0.5).draw(rng, 100, side=6, size=(6, 6))
    assert np.all(np.abs(crowded[:, 2:] - 2.5) <= 1.5 + 1e-4)


def test_applying_is_seeded_keeps_the_box_and_the_originals() -> None:
    patch = Patch(np.ones((3, 3, 1), np.float32), Placing())
    before = TEST.x.copy()
    first, again, other = (patch.apply(TEST.x, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(TEST.x, before)
    PIXELS.check(first)
    assert np.all((first != TEST.x).sum(axis=(1, 2, 3)) <= 25)
    assert patch.apply(TEST.x[:0], np.random.default_rng(0)).shape == (0, 6, 6, 1)


def test_a_learnt_sticker_misleads_more_than_noise(pictures: Threat) -> None:
    patch = LEARN(pictures.problem, TRAIN.x, TRAIN.y, seed=1)
    assert patch.pixels.shape == (3, 3, 1)
    PIXELS.check(np.broadcast_to(patch.pixels, (1, 3, 3, 1)))
    assert np.array_equal(patch.pixels, LEARN(pictures.problem, TRAIN.x, TRAIN.y, seed=1).pixels)
    success_rate = fooling_rate(pictures.problem, patch, TEST.x, TEST.y, places=4, seed=2)
    assert success_rate.clean == Untargeted().is_adversarial(pictures.problem.predict(TEST.x), TEST.y).mean()
    assert success_rate.patch > success_rate.noise + 0.1
    assert success_rate == fooling_rate(pictures.problem, patch, TEST.x, TEST.y, places=4, seed=2)


@pytest.mark.parametrize("target", [0, 1, 2], ids=str)
def test_a_targeted_sticker_says_its_word(pictures: Threat, target: int) -> None:
    problem = AttackProblem(pictures.problem.outputs, Targeted(), "linf", PIXELS)
    patch = PatchLearning(side=4, placing=STRAIGHT, steps=60, batch=32)(problem, TRAIN.x, 0 * TRAIN.y + target, seed=1)
    others = TEST.y != target
    success_rate = fooling_rate(problem, patch, TEST.x[others], 0 * TEST.y[others] + target, places=3, seed=2)
    assert success_rate.patch > success_rate.noise
    assert success_rate.clean < 0.1


def test_a_bar_moves_once_per_step(pictures: Threat) -> None:
    with tqdm(total=5, file=io.StringIO()) as bar:
        PatchLearning(side=3, steps=5)(pictures.problem, TRAIN.x, TRAIN.y, seed=0, bar=bar)
        assert bar.n == 5


def test_a_step_is_compiled_once_not_once_per_step(pictures: Threat) -> None:
    traced = []

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        traced.append(x.shape)
        return pictures.problem.outputs(x, seed)

    PatchLearning(side=3, steps=5)(AttackProblem(outputs, Untargeted(), "linf", PIXELS), TRAIN.x, TRAIN.y, seed=0)
    # One row is looked at before, for whether a gradient reaches the inputs.
    assert [shape[0] for shape in traced] == [1, None]


def test_values_are_learnt_in_the_units_of_the_bounds(pictures: Threat) -> None:
    bytes_ = Bounds(np.float32(0), np.float32(255), np.float32(1))
    problem = AttackProblem(lambda x, seed: pictures.case.network(x / 255.0), Untargeted(), "linf", bytes_)
    patch = LEARN(problem, 255 * TRAIN.x, TRAIN.y, seed=1)
    assert 200 < patch.pixels.max() <= 255
    assert fooling_rate(problem, patch, 255 * TEST.x, TEST.y, places=2, seed=2).patch > 0.1


def test_what_cannot_carry_a_sticker_is_refused(threats: Callable[[str, Norm], Threat], pictures: Threat) -> None:
    table = threats(TABLE, "linf")
    with pytest.raises(AttackError, match=r"inputs have shape \(64, 4\); a patch needs images"):
        LEARN(table.problem, table.case.test.x, table.case.test.y, seed=0)
    with pytest.raises(AttackError, match=r"inputs have shape \(0, 6, 6, 1\)"):
        LEARN(pictures.problem, TRAIN.x[:0], TRAIN.y[:0], seed=0)
    with pytest.raises(AttackError, match="side is 7; it must be 1..6"):
        PatchLearning(side=7)(pictures.problem, TRAIN.x, TRAIN.y, seed=0)
