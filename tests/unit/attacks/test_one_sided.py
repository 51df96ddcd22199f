"""Features that an attacker may only raise or only lower, and sizes in raw units: in every attack and certificate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.apgd import APGD
from redoubt.attacks.carlini_wagner import CarliniWagner
from redoubt.attacks.core.base import Attack, AttackError, check_result
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.genetic import GeneticSearch
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.noise import Noise
from redoubt.attacks.square import Square
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.certify.refute import ends
from redoubt.certify.worst_case import ball
from redoubt.core.types import Bounds, Norm
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.defenses.guards.guard import configure
from redoubt.defenses.write_bundle import write_bundle
from redoubt.models.networks import build
from redoubt.params.settings.networks import Linear
from redoubt.perturbable import perturbable, raw_units
from tests.support.tiny import GUARDS, SCHEMAS, TABLE, rows

TASK = SCHEMAS[TABLE].model_copy(
    update={
        "columns": (
            SCHEMAS[TABLE].columns[0].model_copy(update={"direction": "up", "unit": 500.0}),
            SCHEMAS[TABLE].columns[1].model_copy(update={"direction": "down"}),
            SCHEMAS[TABLE].columns[2],
        )
    }
)
BATCH = rows(TABLE, 40)
SCALER = fit_scaler(BATCH, TASK)
BOUNDS = SCALER.bounds(TASK)
NETWORK = build(Linear(kind="linear"), TASK, SCALER, 0)
# Raising the first feature or lowering the second takes an example from the first class to the second.
NETWORK.get_layer("z").set_weights([np.array([[2.0], [-2.0], [0.0], [0.0]]), np.array([0.1])])
ATTACKS: list[Attack] = [
    PGD(steps=4),
    APGD(steps=4),
    CarliniWagner(steps=20, searches=2, learning_rate=0.05, constant=10.0),
    Noise(),
    Square(queries=20),
    GeneticSearch(queries=61),
    HopSkipJump(queries=100),
]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_no_attack_goes_the_wrong_way(attack: Attack, norm: Norm) -> None:
    problem = AttackProblem(of_network(NETWORK), Untargeted(), norm, BOUNDS)
    y = NETWORK(BATCH.x).numpy().argmax(axis=1)
    change = attack(problem, BATCH.x, y, eps=2.0, seed=0) - BATCH.x
    assert change[:, 0].min() >= 0
    assert change[:, 1].max() <= 0
    assert np.abs(change[:, 0]).max() <= 1000 * (1 + 1e-4)
    assert change.any()


def test_whoever_goes_the_wrong_way_is_refused() -> None:
    problem = AttackProblem(of_network(NETWORK), Untargeted(), "linf", BOUNDS)
    lowered = BATCH.x - np.array([1.0, 0, 0, 0], np.float32)
    lowered = np.maximum(lowered, BOUNDS.lower)
    with pytest.raises(AttackError, match="perturbed an input by inf"):
        check_result(BATCH.x, lowered, problem, 0.5)
    assert np.isinf(distance(lowered - BATCH.x, "l2", BOUNDS)).any()


def test_boxes_are_one_sided_wherever_they_are_made() -> None:
    low, high = ends(BATCH.x, 0.5, BOUNDS)
    made = ball(tf.constant(BATCH.x), 0.5, BOUNDS)
    assert made.low.numpy() == pytest.approx(low)
    assert made.high.numpy() == pytest.approx(high)
    assert np.array_equal(low[:, 0], BATCH.x[:, 0])
    assert np.array_equal(high[:, 1], BATCH.x[:, 1])
    assert (high[:, 0] > BATCH.x[:, 0]).any()
    assert raw_units(TASK, BOUNDS, 0.5)["weight"] == pytest.approx(250)


def test_an_example_at_the_end_of_its_range_cannot_be_perturbed_further() -> None:
    top = np.broadcast_to(np.where([True, False, False, False], BOUNDS.upper, BOUNDS.lower), (1, 4))
    assert not perturbable(top.astype(np.float32), BOUNDS, 1.0).any()
    both: Bounds = replace(BOUNDS, falls=np.True_, rises=np.True_)
    assert perturbable(top.astype(np.float32), both, 1.0)[0, :2].all()


def test_the_served_certificate_is_of_the_one_sided_box(tmp_path: Path) -> None:
    config = configure(GUARDS[TABLE], TASK, BOUNDS, 1.0)
    write_bundle(tmp_path / "bundle", NETWORK, TASK, config, BATCH.x)
    model = GuardedModel.load(tmp_path / "bundle")
    both = config.model_copy(update={"falls": (), "rises": ()})
    plain = SCHEMAS[TABLE]
    write_bundle(tmp_path / "both", NETWORK, plain, both, BATCH.x)
    wide = GuardedModel.load(tmp_path / "both")
    # Variant by variant the smaller box is certified at least as far.
    ours, theirs = (each.prove(BATCH.x, 0.2, np.random.default_rng(0)) for each in (model, wide))
    assert (ours >= theirs - 1e-4).all()
    assert (ours > theirs + 1e-4).any()
    assert model.schema.columns[0].unit == 500.0
    assert "falls" not in (tmp_path / "both/guard.json").read_text()
    assert "direction" not in (tmp_path / "both/schema.json").read_text()
