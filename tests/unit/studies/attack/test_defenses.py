"""What guards seem worth and are worth, and which attack each training leaves open."""

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Untargeted
from redoubt.certify.worst_case import ball, certifier, worst_outputs
from redoubt.core.types import PIXELS, Batch
from redoubt.studies.attack.defenses_passive import PARTS
from redoubt.studies.attack.defenses_proactive import TRAINED, certified
from redoubt.studies.digit_networks import MLP, enlarged, new_network
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def numbers(quick: Run) -> dict[str, float]:
    return dict(quick("defenses").numbers)


def test_guards_help_against_who_does_not_know_them(numbers: dict[str, float]) -> None:
    bare = numbers["passive/none/unknown"]
    assert all(numbers[f"passive/{part}/unknown"] > bare + 0.1 for part in PARTS[1:])


def test_who_knows_a_guard_gets_past_more_of_it(numbers: dict[str, float]) -> None:
    for part in PARTS:
        assert numbers[f"passive/{part}/known"] <= numbers[f"passive/{part}/unknown"]
    for part in ("median", "detector"):
        assert numbers[f"passive/{part}/known"] < numbers[f"passive/{part}/unknown"] - 0.15
    assert numbers["passive/flagged/known"] < numbers["passive/flagged/unknown"] - 0.2


def test_the_detector_flags_attacks_and_few_clean_pictures(numbers: dict[str, float]) -> None:
    assert numbers["passive/flagged/clean"] < 0.15 < numbers["passive/flagged/unknown"]


def test_hardening_beats_the_natural_network_under_every_attack(numbers: dict[str, float]) -> None:
    for trained in TRAINED[1:]:
        for attack in ("FGSM", "PGD L-inf", "Square", "PGD L2"):
            assert numbers[f"{trained}/{attack}"] > numbers[f"natural/{attack}"] + 0.1


def test_training_on_one_attack_leaves_another_open(numbers: dict[str, float]) -> None:
    assert numbers["PGD L2/PGD L2"] > numbers["PGD L-inf/PGD L2"]
    assert numbers["PGD L-inf/PGD L-inf"] > numbers["PGD L2/PGD L-inf"]
    assert numbers["PGD both/PGD L2"] > numbers["PGD L-inf/PGD L2"]
    assert numbers["FGSM/PGD L-inf"] < numbers["FGSM/FGSM"]


def test_what_is_proven_holds_against_every_attack_and_only_bounds_prove_much(numbers: dict[str, float]) -> None:
    for trained in TRAINED:
        for attack in ("none", "noise", "FGSM", "PGD L-inf", "Square"):
            assert numbers[f"{trained}/certified"] <= numbers[f"{trained}/{attack}"]
    assert numbers["bounds/certified"] > 0.3
    assert all(numbers[f"{trained}/certified"] < 0.1 for trained in TRAINED[:-1])


def test_the_certified_share_is_what_the_bounds_say_and_falls_with_eps() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((60, 4, 4, 1)).astype(np.float32)
    network = new_network(MLP, x, 0)
    y = network(x).numpy().argmax(axis=1)
    batch = Batch(x, y)
    prove = certifier(network, PIXELS, Untargeted())
    shares = [certified(prove, batch, eps) for eps in (0.0, 0.003, 0.01, 0.3)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0] > 0.95, shares[-1]) == (True, 0.0)
    worst = worst_outputs(network, ball(tf.constant(x), 0.01, PIXELS), tf.constant(y), Untargeted()).numpy()
    assert shares[2] == pytest.approx(np.mean(worst.argmax(axis=1) == y))


def test_doubling_keeps_every_pixel() -> None:
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype(np.float32)
    large = enlarged(Batch(x, np.arange(2))).x
    assert large.shape == (2, 16, 16, 1)
    assert all(np.array_equal(large[:, i::2, j::2], x) for i in (0, 1) for j in (0, 1))
    assert enlarged(Batch(large, np.arange(2))).x is large
