"""What is measured after every epoch, recomputed."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.certify.worst_case import ball, worst_outputs
from redoubt.core.types import Batch, Floats
from redoubt.training.validation import RobustValidation
from tests.support.tiny import Case, rows

ATTACK, EPS = PGD(steps=3), 0.1


@functools.cache
def problem(case: Case, norm: str) -> AttackProblem:
    """A threat to a task's network, compiled once."""
    return AttackProblem(of_network(case.network), case.criterion, norm, case.bounds)


def robust_validation(case: Case, judged: str, norm: str = "linf", sigma: float = 0.0) -> RobustValidation:
    return RobustValidation(case.network, problem(case, norm), ATTACK, EPS, case.test, judged, sigma)


def expected(case: Case, x: Floats, batch: Batch) -> dict[str, float]:
    outputs = case.network(x)
    loss = float(tf.reduce_mean(case.criterion.loss(outputs, batch.y)))
    return {"share": 1 - case.criterion.is_adversarial(outputs.numpy(), batch.y).mean(), "loss": loss}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_shares_and_loss_under_attack(case: Case, norm: str) -> None:
    found = robust_validation(case, "pgd", norm)()
    x_adv = ATTACK(robust_validation(case, "pgd", norm).problem, case.test.x, case.test.y, eps=EPS, seed=0)
    attacked, natural = expected(case, x_adv, case.test), expected(case, case.test.x, case.test)
    assert set(found) == {"loss", "natural", "pgd"} | ({"certified"} if norm == "linf" else set())
    assert found["natural"] == pytest.approx(natural["share"])
    assert found["pgd"] == pytest.approx(attacked["share"])
    assert found["loss"] == pytest.approx(attacked["loss"], rel=1e-3)
    assert attacked["loss"] > natural["loss"]


def test_shares_and_loss_over_whole_balls_in_batches_of_any_number(case: Case) -> None:
    many = Batch(np.repeat(case.test.x, 5, axis=0)[:300], np.repeat(case.test.y, 5, axis=0)[:300])
    found = replace(robust_validation(case, "certified"), batch=many)()
    ends = worst_outputs(case.network, ball(many.x, EPS, case.bounds), tf.constant(many.y), case.criterion)
    assert found["certified"] == pytest.approx(1 - case.criterion.is_adversarial(ends.numpy(), many.y).mean())
    assert found["loss"] == pytest.approx(float(tf.reduce_mean(case.criterion.loss(ends, many.y))), rel=1e-3)
    assert found["certified"] <= found["pgd"]


def test_shares_and_loss_under_noise(case: Case) -> None:
    found = robust_validation(case, "noisy", "l2", sigma=0.5)()
    drawn = np.random.default_rng(0).standard_normal(case.test.x.shape, dtype=np.float32)
    noisy = expected(case, (case.test.x + 0.5 * drawn * case.bounds.scale).astype(np.float32), case.test)
    assert found["noisy"] == pytest.approx(noisy["share"])
    assert found["loss"] == pytest.approx(noisy["loss"], rel=1e-3)
    assert set(found) == {"loss", "natural", "pgd", "noisy"}


def test_training_rows_held_out_are_attacked_too(case: Case) -> None:
    held_out = rows(case.name, 40, seed=7)
    bounds = case.bounds.covering(held_out.x)
    usual = robust_validation(case, "pgd")
    wider = AttackProblem(usual.problem.outputs, case.criterion, "linf", bounds)
    found = replace(usual, problem=wider, held_out=held_out)()
    x_adv = ATTACK(wider, held_out.x, held_out.y, eps=EPS, seed=0)
    assert found["held_out"] == pytest.approx(expected(case, x_adv, held_out)["share"])


def test_an_epoch_is_measured_from_the_same_starts_and_from_the_weights_of_its_end(case: Case) -> None:
    look, weights = robust_validation(case, "certified"), case.network.get_weights()
    first = look()
    assert look() == first
    try:
        case.network.set_weights([0.5 * each for each in weights])
        assert look()["loss"] != first["loss"]
    finally:
        case.network.set_weights(weights)
    assert look() == first
