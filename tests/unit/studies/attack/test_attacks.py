"""The chapter's claims, and the tools that share them: gradients beat noise, proxies carry over, EOT survives."""

import numpy as np
import pytest

from redoubt.attacks.core.geometry import distance
from redoubt.core.types import PIXELS
from redoubt.studies.attack.attacks_pages import EPS
from redoubt.studies.digit_networks import first, parts
from redoubt.studies.given import Given
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def numbers(quick: Run) -> dict[str, float]:
    return dict(quick("attacks").numbers)


def test_a_random_change_does_little_and_a_gradient_much(numbers: dict[str, float]) -> None:
    for norm in EPS:
        assert numbers["clean"] - numbers[f"accuracy_noise/{norm}"] < 0.1
        assert numbers[f"accuracy_fgsm/{norm}"] < numbers[f"accuracy_noise/{norm}"] - 0.5
        assert numbers[f"accuracy_iterated/{norm}"] <= numbers[f"accuracy_fgsm/{norm}"]
        assert numbers[f"descent_accuracy/{norm}"] < 0.5
    assert numbers["success_at_eps/adversarial"] > numbers["success_at_eps/random"] + 0.5


def test_the_fix_step_keeps_every_result_within_eps(numbers: dict[str, float]) -> None:
    assert all(numbers[f"farthest_in_eps/{norm}"] <= 1 + 1e-5 for norm in EPS)


def test_one_huge_step_pulled_back_is_fgsm(numbers: dict[str, float]) -> None:
    assert numbers["huge_step_is_fgsm"] == 1.0


def test_toward_a_false_class_is_harder_than_away_from_the_true_one(numbers: dict[str, float]) -> None:
    for norm in EPS:
        assert 0.2 < numbers[f"toward_reached/{norm}"] <= 1 - numbers[f"toward_accuracy/{norm}"] + 1e-9


def test_equal_in_l2_and_far_apart_in_linf(numbers: dict[str, float]) -> None:
    for name in ("spread", "local"):
        assert numbers[f"same_length_l2/{name}"] == pytest.approx(EPS["l2"], abs=1e-4)
    assert numbers["same_length_linf/local"] > 4 * numbers["same_length_linf/spread"]


def test_a_black_box_is_misled_by_proxy_and_by_copy_more_than_by_noise(numbers: dict[str, float]) -> None:
    noise = numbers["success/noise_on_CNN"]
    for name in ("success/MLP_on_CNN", "copy_success"):
        assert 2 * noise < numbers[name] < numbers["success/CNN_on_CNN"]


def test_the_other_pages_beat_what_they_stand_beside(numbers: dict[str, float]) -> None:
    assert numbers["universal_fooled"] > 2 * numbers["universal_fooled/random"]
    assert numbers["reprogrammed"] > numbers["reprogrammed/chance"] + 0.15
    assert numbers["photo_success/expecting"] > numbers["photo_success/plain"] > numbers["photo_success/untouched"]
    assert numbers["file_success/plain"] > numbers["file_success/expecting"]


def test_rows_kept_back_are_not_learned_from() -> None:
    train, test = first(Given(course=False, seed=0).digits(), 100, 10**6)
    learning, watching = parts(train)
    assert (len(learning), len(watching), len(test)) == (80, 20, 397)
    assert np.array_equal(watching.x, train.x[::5])
    apart = distance(learning.x[:, None].reshape(80, -1) - watching.x[:1].reshape(1, -1), "l2", PIXELS)
    assert apart.min() > 0
