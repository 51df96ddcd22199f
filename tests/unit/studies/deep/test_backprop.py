"""Hand-written backpropagation is the tape's, and its cost is what is claimed."""

from collections.abc import Sequence

import numpy as np
import pytest

from redoubt.studies.contract import Doubles
from redoubt.studies.deep.backprop import COURSE, Layers, Tally, apart, by_hand, by_moving, by_tape, costs, new_layers
from tests.unit.studies.conftest import Run

WIDTHS = [5, 4, 3, 10]


def drawn(seed: int = 0) -> tuple[Layers, Doubles, np.ndarray]:
    rng = np.random.default_rng(seed)
    return new_layers(WIDTHS, rng), rng.normal(size=(7, WIDTHS[0])), rng.integers(10, size=7)


def test_hand_and_tape_agree_on_digits(quick: Run) -> None:
    numbers = quick("backprop").numbers
    assert numbers["tape_off"] < 1e-6
    assert numbers["signals_off"] < 1e-6


@pytest.mark.parametrize("seed", [1, 2])
def test_hand_and_tape_agree_on_any_network(seed: int) -> None:
    layers, x, labels = drawn(seed)
    found, signals, _ = by_hand(layers, x, labels)
    tape, tape_signals = by_tape(layers, x, labels)
    assert apart([g for pair in found for g in pair], [g for pair in tape for g in pair]) < 1e-12
    assert apart(signals, tape_signals) < 1e-12


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    layers, x, labels = drawn()
    found, _, _ = by_hand(layers, x, labels)
    for index, row, column in [(0, 3, 4), (1, 2, 0), (2, 9, 1)]:
        slope = by_moving(layers, x, labels, (index, row, column), 1e-6)
        assert slope == pytest.approx(found[index][0][row, column], rel=1e-4, abs=1e-5)


def test_moving_a_weight_is_never_as_exact(quick: Run) -> None:
    numbers = quick("backprop").numbers
    assert numbers["moving_off/best"] > 100 * numbers["tape_off"]
    assert 1e-11 < numbers["moving_off/best_step"] < 1e-4


def test_a_multiply_add_is_counted_per_term() -> None:
    tally = Tally()
    assert np.array_equal(tally.times(np.ones((2, 3)), np.ones((3, 5))), np.full((2, 5), 3.0))
    assert tally.count == 2 * 3 * 5


def test_the_backward_pass_costs_what_the_forward_pass_costs() -> None:
    layers, x, labels = drawn()
    _, _, counted = by_hand(layers, x, labels)
    connections = 5 * 4 + 4 * 3 + 3 * 10
    assert counted == dict.fromkeys(("forward", "signals", "products"), connections * len(x))
    assert sum(counted.values()) == len(x) * costs(WIDTHS)["both_passes"]


def recursive(widths: Sequence[int], layer: int) -> int:
    """Multiply-adds for one neuron's dl/dz where it asks every neuron behind it."""
    if layer == len(widths) - 1:
        return 0
    return sum(1 + recursive(widths, layer + 1) for _ in range(widths[layer + 1]))


def test_the_cost_from_the_front_is_that_of_the_recursion() -> None:
    asked = sum(width * recursive(WIDTHS, layer) for layer, width in enumerate(WIDTHS) if layer)
    assert costs(WIDTHS)["from_the_front"] == 2 * costs(WIDTHS)["forward"] + asked


def test_cost_per_weight_grows_with_weights_and_cost_from_the_front_with_paths(quick: Run) -> None:
    numbers = quick("backprop").numbers
    assert numbers["cost/both_passes"] == 3
    assert numbers["cost/both_passes"] < numbers["cost/from_the_front"] / 100
    assert numbers["cost/pass_per_weight"] > numbers["multiply_adds/forward"]
    assert costs([9] * 12)["from_the_front"] / costs([9] * 11)["from_the_front"] > 8


def test_early_layers_hear_less(quick: Run) -> None:
    numbers = quick("backprop").numbers
    heard = [numbers[f"signal/layer_{k}"] for k in range(1, 6)]
    assert heard == sorted(heard)
    assert heard[0] < 0.1 * heard[-1]


def test_the_slides_layer_comes_out(quick: Run) -> None:
    numbers = quick("backprop").numbers
    for k, (z, a) in enumerate(COURSE, 1):
        assert numbers[f"slide/z_{k}"] == z
        assert numbers[f"slide/a_{k}"] == pytest.approx(a, abs=0.005)
        assert numbers[f"slide/gain_{k}"] <= 0.25
