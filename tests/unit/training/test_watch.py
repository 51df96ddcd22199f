"""What is measured after every epoch, recomputed."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.gradient import PGD
from redoubt.certify.margins import ball, worst_outputs
from redoubt.training.watch import Watch
from redoubt.types import Batch, Floats
from tests.tiny import Case, rows

ATTACK, EPS = PGD(steps=3), 0.1


def watch(case: Case, judged: str, norm: str = "linf", sigma: float = 0.0) -> Watch:
    problem = Problem(of_network(case.network), case.criterion, norm, case.bounds)
    return Watch(case.network, problem, ATTACK, EPS, case.test, judged, sigma)


def expected(case: Case, x: Floats, batch: Batch) -> dict[str, float]:
    outputs = case.network(x)
    loss = float(tf.reduce_mean(case.criterion.loss(outputs, batch.y)))
    return {"share": 1 - case.criterion.won(outputs.numpy(), batch.y).mean(), "loss": loss}


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_shares_and_loss_under_attack(case: Case, norm: str) -> None:
    found = watch(case, "pgd", norm)()
    moved = ATTACK(watch(case, "pgd", norm).problem, case.test.x, case.test.y, eps=EPS, seed=0)
    attacked, natural = expected(case, moved, case.test), expected(case, case.test.x, case.test)
    assert set(found) == {"loss", "natural", "pgd"} | ({"certified"} if norm == "linf" else set())
    assert found["natural"] == pytest.approx(natural["share"])
    assert found["pgd"] == pytest.approx(attacked["share"])
    assert found["loss"] == pytest.approx(attacked["loss"], rel=1e-3)
    assert attacked["loss"] > natural["loss"]


def test_shares_and_loss_over_whole_balls_in_batches_of_any_number(case: Case) -> None:
    many = Batch(np.repeat(case.test.x, 5, axis=0)[:300], np.repeat(case.test.y, 5, axis=0)[:300])
    found = replace(watch(case, "certified"), batch=many)()
    ends = worst_outputs(case.network, ball(many.x, EPS, case.bounds), tf.constant(many.y), case.criterion)
    assert found["certified"] == pytest.approx(1 - case.criterion.won(ends.numpy(), many.y).mean())
    assert found["loss"] == pytest.approx(float(tf.reduce_mean(case.criterion.loss(ends, many.y))), rel=1e-3)
    assert found["certified"] <= found["pgd"]


def test_shares_and_loss_under_noise(case: Case) -> None:
    found = watch(case, "noisy", "l2", sigma=0.5)()
    drawn = np.random.default_rng(0).standard_normal(case.test.x.shape, dtype=np.float32)
    noisy = expected(case, (case.test.x + 0.5 * drawn * case.bounds.scale).astype(np.float32), case.test)
    assert found["noisy"] == pytest.approx(noisy["share"])
    assert found["loss"] == pytest.approx(noisy["loss"], rel=1e-3)
    assert set(found) == {"loss", "natural", "pgd", "noisy"}


def test_training_rows_held_out_are_attacked_too(case: Case) -> None:
    held_out = rows(case.name, 40, seed=7)
    bounds = case.bounds.covering(held_out.x)
    usual = watch(case, "pgd")
    problem = Problem(usual.problem.outputs, case.criterion, "linf", bounds)
    found = replace(usual, problem=problem, held_out=held_out)()
    moved = ATTACK(problem, held_out.x, held_out.y, eps=EPS, seed=0)
    assert found["held_out"] == pytest.approx(expected(case, moved, held_out)["share"])


def test_an_epoch_is_measured_from_the_same_starts_and_from_the_weights_of_its_end(case: Case) -> None:
    look, weights = watch(case, "certified"), case.network.get_weights()
    first = look()
    assert look() == first
    try:
        case.network.set_weights([0.5 * each for each in weights])
        assert look()["loss"] != first["loss"]
    finally:
        case.network.set_weights(weights)
    assert look() == first
