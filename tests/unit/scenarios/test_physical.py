"""Pictures that are printed: in the ball, alike in any company, and more often adversarial after the camera."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Targeted, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.attacks.transformations import Transformations
from redoubt.core.types import PIXELS, Bounds, Floats, Norm
from redoubt.scenarios.physical import Physical, survival_rate, total_variation, unprintable
from tests.support.threats import NORMS, Threat
from tests.support.tiny import IMAGE, TABLE, rows

CAMERA = Transformations(rotation=10, scale=0.1, shift=0.15, brightness=0.1, contrast=0.2, blur=0.8, noise=0.05)
EPS: dict[Norm, float] = {"linf": 0.25, "l2": 1.2}
ATTACK = Physical(transformations=CAMERA, steps=12, draws=2)
MANY = rows(IMAGE, 300, seed=3)


@pytest.fixture(scope="module", params=NORMS)
def pictures(request: pytest.FixtureRequest, threats: Callable[[str, Norm], Threat]) -> Threat:
    return threats(IMAGE, request.param)


@pytest.fixture(scope="module")
def bars(threats: Callable[[str, Norm], Threat]) -> Threat:
    return threats(IMAGE, "linf")


def test_it_keeps_the_contract(pictures: Threat) -> None:
    problem, x, y = pictures.problem, pictures.case.test.x, pictures.case.test.y
    eps = EPS[problem.norm]
    x_adv = ATTACK(problem, x, y, eps=eps, seed=1)
    far = distance(x_adv - x, problem.norm, PIXELS)
    assert np.all(far <= eps * (1 + 1e-5))
    assert far.max() > 0.9 * eps
    assert np.array_equal(x_adv, ATTACK(problem, x, y, eps=eps, seed=1))
    assert not np.array_equal(x_adv, ATTACK(problem, x, y, eps=eps, seed=2))
    assert np.array_equal(ATTACK(problem, x, y, eps=0.0, seed=1), x)
    assert ATTACK(problem, x[:0], y[:0], eps=eps, seed=1).shape == (0, 6, 6, 1)


def test_pixels_that_must_not_change_do_not(bars: Threat) -> None:
    scale = np.ones((6, 6, 1), np.float32)
    scale[2:4] = 0.0
    fixed = Bounds(PIXELS.lower, PIXELS.upper, scale)
    problem = AttackProblem(bars.problem.outputs, Untargeted(), bars.problem.norm, fixed)
    x = bars.case.test.x
    x_adv = Physical(transformations=CAMERA, steps=3, draws=1)(
        problem, x, bars.case.test.y, eps=EPS[problem.norm], seed=1
    )
    assert np.array_equal(x_adv[:, 2:4], x[:, 2:4])
    assert not np.array_equal(x_adv, x)


def test_it_survives_the_camera_more_often_than_pgd(pictures: Threat) -> None:
    problem, x, y = pictures.problem, MANY.x, MANY.y
    eps = EPS[problem.norm]
    x_adv = {attack: attack(problem, x, y, eps=eps, seed=1) for attack in (PGD(steps=20), ATTACK)}
    digital, physical = (
        survival_rate(problem, x, pictures_, y, CAMERA, draws=10, seed=7) for pictures_ in x_adv.values()
    )
    assert digital.clean == physical.clean < digital.photographed
    assert physical.photographed > digital.photographed + 0.02
    assert digital.digital > physical.digital - 0.05


def test_survival_counts_rows_and_draws_alike_whatever_the_batch(bars: Threat) -> None:
    """More rows than a batch holds; without any transformation every number is known."""
    problem, x, y = bars.problem, MANY.x, MANY.y
    x_adv = PGD(steps=5)(problem, x, y, eps=EPS[problem.norm], seed=0)
    still = survival_rate(problem, x, x_adv, y, Transformations(), draws=2, seed=0)
    assert still.photographed == still.digital == problem.criterion.is_adversarial(problem.predict(x_adv), y).mean()
    assert still.clean == problem.criterion.is_adversarial(problem.predict(x), y).mean()


def test_a_targeted_picture_says_its_word_to_the_camera(bars: Threat) -> None:
    problem = AttackProblem(bars.problem.outputs, Targeted(), bars.problem.norm, PIXELS)
    x, wanted = bars.case.test.x, (bars.case.test.y + 1) % 3
    attack = replace(ATTACK, steps=30)
    x_adv = attack(problem, x, wanted, eps=2.0 * EPS[problem.norm], seed=1)
    survival = survival_rate(problem, x, x_adv, wanted, CAMERA, draws=6, seed=3)
    assert survival.photographed > 0.5 > 2 * survival.clean


def test_a_row_is_attacked_the_same_in_any_company(threats: Callable[[str, Norm], Threat]) -> None:
    """Its draws depend on its number; batches of other sizes must give the same."""
    problem = threats(IMAGE, "l2").problem
    together = ATTACK(problem, MANY.x, MANY.y, eps=1.0, seed=4)
    some = ATTACK(problem, MANY.x[:40], MANY.y[:40], eps=1.0, seed=4)
    assert np.allclose(together[:40], some, atol=1e-4)


def test_smooth_lowers_the_total_variation_of_the_perturbation(bars: Threat) -> None:
    x, y = bars.case.test.x, bars.case.test.y
    eps = EPS[bars.problem.norm]

    def roughness(weight: float) -> float:
        attack = replace(ATTACK, smooth=weight)
        return float(np.mean(total_variation(tf.constant(attack(bars.problem, x, y, eps=eps, seed=1) - x))))

    assert roughness(20.0) < 0.7 * roughness(0.0)


def test_printable_draws_values_to_the_palette(bars: Threat) -> None:
    x, y = bars.case.test.x, bars.case.test.y
    palette = ((0.0,), (0.25,), (0.5,), (0.75,), (1.0,))

    def off(attack: Physical) -> float:
        x_adv = attack(bars.problem, x, y, eps=EPS[bars.problem.norm], seed=1)
        return float(np.mean(unprintable(tf.constant(x_adv), palette)))

    drawn = Physical(transformations=CAMERA, steps=40, draws=2, printable=1000.0, palette=palette)
    assert off(drawn) < 0.5 * off(ATTACK)


def test_total_variation_and_distance_to_the_palette_are_what_they_say() -> None:
    ramp: Floats = np.broadcast_to(0.1 * np.arange(5, dtype=np.float32)[:, None, None], (1, 5, 4, 1)).copy()
    assert float(total_variation(tf.constant(ramp))[0]) == pytest.approx(0.1, rel=1e-3)
    assert float(total_variation(tf.zeros((1, 5, 4, 1)))[0]) == pytest.approx(1e-3)
    colours = tf.constant([[[[0.0, 0.0, 0.0], [0.9, 0.0, 0.0]]]])
    palette = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    assert float(unprintable(colours, palette)[0]) == pytest.approx(0.05, abs=1e-3)


def test_what_cannot_be_printed_is_refused(threats: Callable[[str, Norm], Threat]) -> None:
    table, image = threats(TABLE, "linf"), threats(IMAGE, "linf")
    for threat, change, says in (
        (table, {}, r"inputs have shape \(None, 4\); only images"),
        (image, {"printable": 1.0}, "printable is 1.0 but the palette is empty"),
        (image, {"palette": ((0.0, 0.0, 0.0),)}, r"colour \(0.0, 0.0, 0.0\) has 3 values; images have 1"),
    ):
        attack = Physical(transformations=CAMERA, steps=1, **change)
        with pytest.raises(AttackError, match=says):
            attack(threat.problem, threat.case.test.x, threat.case.test.y, eps=0.1, seed=0)
