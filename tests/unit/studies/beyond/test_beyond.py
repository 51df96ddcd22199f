"""Each small experiment's claim, and its tools against scikit-learn, finite differences and brute force."""

import itertools

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from redoubt.core.types import Batch
from redoubt.studies.beyond.grid import GOAL, MOVES, START, act, greedy, q_learning, value_iteration
from redoubt.studies.beyond.small import pruned, rounded
from redoubt.studies.beyond.tasks import answer, descend, fresh, nearest, slopes
from redoubt.studies.beyond.trust import auroc, gradient_times_input, marked, turned
from redoubt.studies.digit_networks import MLP, new_network
from tests.unit.studies.conftest import Run


@pytest.fixture(scope="module")
def numbers(quick: Run) -> dict[str, float]:
    return dict(quick("beyond").numbers)


def test_confidence_tells_strangers_but_not_all(numbers: dict[str, float]) -> None:
    assert all(numbers[f"auroc/{name}"] > 0.8 for name in ("unseen", "shuffled", "noise"))
    assert numbers["sure/known"] > 0.7 > numbers["sure/unseen"] > 0


def test_explanations_find_what_matters_better_than_chance(numbers: dict[str, float]) -> None:
    for name in ("occlusion", "gradient"):
        assert numbers[f"deletion/{name}"] < numbers["deletion/random"] / 2


def test_a_mark_is_learned_instead_of_the_digit(numbers: dict[str, float]) -> None:
    assert numbers["hans/marked"] > 0.98
    assert numbers["hans/unmarked"] < numbers["hans/marked"] - 0.1
    # One row of eight, or of 28, has more than its share.
    assert numbers["hans/explained_by_mark"] > 1 / 8


def test_mismatch_hurts_and_learning_it_helps(numbers: dict[str, float]) -> None:
    assert numbers["mismatch/inverted"] < 0.3
    assert numbers["mismatch/rotated"] < numbers["mismatch/rotated_learned"] - 0.3


def test_eight_bits_cost_nothing_and_two_bits_much(numbers: dict[str, float]) -> None:
    for kind in ("accuracy", "robust"):
        full = numbers[f"small_{kind}/full"]
        assert abs(numbers[f"small_{kind}/int8"] - full) < 0.02
        assert numbers[f"small_{kind}/int2"] < full - 0.1
        shares = [numbers[f"small_{kind}/pruned_{share}"] for share in (50, 80, 90, 95)]
        assert shares == sorted(shares, reverse=True)
    assert numbers["small_accuracy/pruned_50"] > numbers["small_accuracy/full"] - 0.1


def test_a_second_task_is_learned_at_the_cost_of_the_first_unless_replayed(numbers: dict[str, float]) -> None:
    assert numbers["lifelong_first/before"] > 0.95
    assert numbers["lifelong_first/alone"] < 0.2
    assert numbers["lifelong_first/replay"] > 0.7
    assert min(numbers[f"lifelong_second/{name}"] for name in ("alone", "replay")) > 0.9


def test_a_few_examples_are_enough_to_beat_guessing(numbers: dict[str, float]) -> None:
    assert 1 / 3 + 0.2 < numbers["few_shot_features/1"] < numbers["few_shot_features/5"]


def test_meta_learned_weights_adapt_faster(numbers: dict[str, float]) -> None:
    assert numbers["wave_error/reptile"] < 0.8 * min(numbers["wave_error/random"], numbers["wave_error/all_tasks"])


def test_trying_finds_the_best_walk_after_many_moves(numbers: dict[str, float]) -> None:
    assert numbers["grid/learned"] == numbers["grid/best"] > numbers["grid/first_walk"]
    assert numbers["grid/moves_tried"] > 100


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    known, strange = (rng.integers(0, 6, size).astype(np.float32) for size in (30, 40))
    pairs = [(k > s) + 0.5 * (k == s) for k, s in itertools.product(known, strange)]
    assert auroc(known, strange) == pytest.approx(np.mean(pairs))


def test_slopes_are_finite_differences_and_descent_descends() -> None:
    rng = np.random.default_rng(0)
    weights, x, y = fresh(rng), rng.normal(size=(7, 1)), rng.normal(size=(7, 1))
    loss = lambda given: float(np.mean((answer(given, x) - y) ** 2))  # noqa: E731
    for index, slope in enumerate(slopes(weights, x, y)):
        place = tuple(rng.integers(size) for size in slope.shape)
        ends = []
        for shift in (1e-6, -1e-6):
            x_adv = [each.copy() for each in weights]
            x_adv[index][place] += shift
            ends.append(loss(x_adv))
        assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)
    assert loss(descend(weights, x, y, 8)) < loss(weights)


def test_nearest_prototypes_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    means = np.stack([x[y == c].mean(axis=0) for c in range(3)])
    asked = rng.normal(size=(50, 4))
    assert np.array_equal(nearest(means, asked), NearestCentroid().fit(x, y).predict(asked))


def test_pruning_keeps_the_largest_and_rounding_stays_within_half_a_step() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((10, 20), (20,), (20, 5))]
    small = pruned(weights, 0.8)
    kernels = np.concatenate([small[0].ravel(), small[2].ravel()])
    assert np.mean(kernels == 0) == pytest.approx(0.8, abs=0.01)
    dropped = np.concatenate([weights[i][small[i] == 0] for i in (0, 2)])
    assert np.abs(dropped).max() <= np.abs(kernels[kernels != 0]).min()
    assert np.array_equal(small[1], weights[1])
    for bits in (8, 4, 2):
        for before, after in zip(weights, rounded(weights, bits), strict=True):
            step = np.abs(before).max() / (2 ** (bits - 1) - 1)
            assert np.abs(before - after).max() <= step / 2 * (1 + 1e-5)
            assert len(np.unique(after)) <= 2**bits or before.ndim == 1


def test_gradient_times_input_sums_to_the_lead_of_a_network_without_corners() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((3, 8, 8, 1)).astype(np.float32), np.array([1, 2, 3])
    network = new_network(MLP, x, 0)
    step = np.float32(1e-2)
    lead = lambda z: network(z).numpy()[np.arange(3), y] - network(z).numpy().mean(axis=1)  # noqa: E731
    slope = (lead(x * (1 + step)) - lead(x * (1 - step))) / (2 * step)
    assert gradient_times_input(network, x, y).sum(axis=(1, 2)) == pytest.approx(slope, rel=0.1, abs=0.05)


def test_marks_tell_digits_apart_and_turning_keeps_the_middle() -> None:
    x, y = np.full((10, 28, 28, 1), 0.5, np.float32), np.arange(10)
    given = marked(Batch(x, y)).x
    assert len({tuple(row) for row in given[:, 0, :, 0]}) == 10
    assert np.array_equal(given[:, 1:], x[:, 1:])
    picture = np.zeros((1, 9, 9, 1), np.float32)
    picture[0, 4, 4] = 1.0
    assert turned(picture)[0, 4, 4, 0] == pytest.approx(1.0, abs=1e-5)


def test_value_iteration_is_the_shortest_way_round_the_pit() -> None:
    assert value_iteration()[START] == -5 + 10
    assert act(GOAL, 0)[0] == (3, 4)
    table, returns, tried = q_learning(200, 3)
    assert greedy(table) == returns[-1] == value_iteration()[START]
    assert np.all(np.diff(tried) > 0)
    assert table.shape[-1] == len(MOVES)
