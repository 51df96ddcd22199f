"""What an attacker can change within eps, and how far that is in the features' own units."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.bundle.column import Column
from redoubt.bundle.relations.table import Relations
from redoubt.bundle.schema import Schema
from redoubt.core.types import PIXELS, Bounds, Floats
from redoubt.params.load import load
from redoubt.params.recipes import SmoothAdv
from redoubt.perturbable import (
    Immovable,
    grey_levels,
    immovable,
    in_both_norms,
    in_raw_units,
    number,
    perturbable,
    raw_units,
)

COLUMNS = (
    Column(name="age", kind="number"),
    Column(name="visits", kind="integer"),
    Column(name="plan", kind="category", categories=("a", "b")),
    Column(name="constant", kind="number"),
    Column(name="fixed", kind="number", immutable=True),
)
TABLE = Schema(task="t", kind="classification", target="y", columns=COLUMNS, shape=(6,), labels=("n", "y"))
IMAGE = Schema(task="i", kind="image", target="y", shape=(2, 2, 1), labels=("n", "y"))
BOUNDS = Bounds(
    np.float32([18, 0, 0, 0, 3, 0]),
    np.float32([90, 9, 1, 1, 3, 5]),
    np.float32([21, 2, 0, 0, 1, 0]),
    np.array([False, True, False, False, False, False]),
)
ROW = np.float32([[40, 4, 1, 0, 3, 2]])


@pytest.mark.parametrize(
    ("eps", "features", "examples"),
    [
        (0.3, ("visits", "plan", "constant", "fixed"), 0),
        (0.49, ("visits", "plan", "constant", "fixed"), 0),
        (0.5, ("plan", "constant", "fixed"), 0),
        (5.0, ("plan", "constant", "fixed"), 0),
    ],
)
def test_a_feature_that_keeps_its_value_in_every_example_is_named(
    eps: float, features: tuple[str, ...], examples: int
) -> None:
    found = immovable(ROW, BOUNDS, eps, TABLE)
    assert found == Immovable(features=features, of=5, examples=examples, n=1)
    assert found.says("linf", eps).startswith(f"{len(features)} of 5 features cannot change within L-inf {eps:g}: ")


FLAGS = tuple(Column(name=f"q{i}", kind="integer") for i in range(3))
BINARY = Schema(task="f", kind="classification", target="y", columns=FLAGS, shape=(3,), labels=("n", "y"))


def test_where_no_whole_number_is_near_nothing_is_measured_and_the_eps_that_would_do_is_said() -> None:
    box = Bounds(np.zeros(3, np.float32), np.ones(3, np.float32), np.float32([0.5, 0.4, 0.49]), np.ones(3, np.bool_))
    x = np.float32([[0, 1, 0], [1, 1, 1]])
    found = immovable(x, box, 1.0, BINARY)
    assert found is not None
    assert found.everything
    assert found.says("linf", 1.0) == (
        "nothing can be perturbed within L-inf 1: none of the 3 features can change; from eps 2 on something can"
    )
    assert found.smallest is not None
    at_last = immovable(x, box, found.smallest, BINARY)
    assert at_last is not None
    assert (at_last.features, at_last.everything) == (("q1", "q2"), False)


def test_an_example_at_both_ends_of_its_box_is_counted() -> None:
    box = Bounds(np.float32([0]), np.float32([9]), np.float32([0.9]), np.array([True]))
    schema = Schema(task="f", kind="regression", target="y", columns=FLAGS[:1], shape=(1,))
    # A value that is not whole is free to move; eps * scale = 0.9 takes no whole one to another.
    found = immovable(np.float32([[4], [4.5], [9]]), box, 1.0, schema)
    assert found == Immovable(features=(), of=1, examples=2, n=3)
    assert found.says("l2", 1.0) == "2 of 3 examples cannot be perturbed at all"


def test_categories_alone_can_be_perturbed_at_no_eps() -> None:
    schema = Schema(task="c", kind="classification", target="y", columns=COLUMNS[2:3], shape=(2,), labels=("n", "y"))
    box = Bounds(np.zeros(2, np.float32), np.ones(2, np.float32), np.zeros(2, np.float32))
    found = immovable(np.float32([[1, 0], [0, 1]]), box, 3.0, schema)
    assert found is not None
    assert found.says("linf", 3.0).endswith("none of the 1 features can change; at no eps could any")


def test_every_pixel_can_change() -> None:
    assert immovable(np.zeros((3, 2, 2, 1), np.float32), PIXELS, 0.001, IMAGE) is None


@given(
    x=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    eps=st.floats(0.01, 6.0),
    scale=st.floats(0.05, 4.0),
    whole=st.booleans(),
)
def test_what_is_said_to_be_perturbable_has_another_valid_value_in_the_ball(
    x: list[int], eps: float, scale: float, whole: bool
) -> None:
    rows = np.float32(x)[:, None]
    box = Bounds(np.float32([0]), np.float32([9]), np.float32([scale]), np.array([whole]))
    size = eps * float(np.float32(scale))
    for value, free in zip(x, perturbable(rows, box, eps)[:, 0], strict=True):
        steps = [1.0] if whole else [min(size, 0.5)]
        other = [value + sign * step for step in steps for sign in (1, -1)]
        assert free == any(0 <= each <= 9 and abs(each - value) <= size + 1e-6 for each in other)


def test_an_eps_is_said_in_each_features_own_unit() -> None:
    assert in_raw_units(TABLE, BOUNDS, "linf", 0.3) == "L-inf 0.3 standard deviations = 6.3 of `age`"
    assert in_raw_units(TABLE, BOUNDS, "l2", 1.0) == (
        "L2 1 standard deviations = 21 of `age`, 2 of `visits`, if one changes alone"
    )
    assert raw_units(TABLE, BOUNDS, 0.7) == pytest.approx(
        {"age": 14.7, "visits": 1.0, "plan": 0.0, "constant": 0.0, "fixed": 0.0}
    )
    assert in_raw_units(IMAGE, PIXELS, "linf", 0.1) == "L-inf 0.1 = 25.5 of 255"
    assert in_raw_units(IMAGE, PIXELS, "l2", 0.75) == "L2 0.75 = 95.6 of 255 if spread evenly over all pixels"


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.arange(17) / 16, 16),
        (np.arange(256) / 255, 255),
        (np.array([0, 1]), 255),
        (np.array([0, 3, 16, 200, 254]) / 255, 255),
        (np.array([0.0, 0.3, np.pi / 4, 1.0]), 255),
    ],
)
def test_the_levels_of_images_are_counted(values: Floats, levels: int) -> None:
    assert grey_levels(np.float32(values).reshape(1, -1, 1, 1)) == levels


def test_an_eps_is_said_in_the_levels_that_images_have() -> None:
    assert in_raw_units(IMAGE, PIXELS, "linf", 0.15, 16) == "L-inf 0.15 = 2.4 of 16"


@pytest.mark.parametrize(
    ("value", "says"), [(6.3, "6.3"), (25.5, "25.5"), (12345.0, "12,300"), (0.000123, "0.000123"), (1.0, "1")]
)
def test_numbers_have_three_digits(value: float, says: str) -> None:
    assert number(value) == says


def test_both_norms_and_what_cannot_change_are_one_line(project: Path) -> None:
    task = load(project / "params.yaml").task("diagnosis")
    assert in_both_norms(task.eps, TABLE, BOUNDS) == (
        "L-inf 0.3 standard deviations = 6.3 of `age`; L2 1 standard deviations = 21 of `age`, 2 of `visits`, if one"
        " changes alone; an attacker cannot change plan, constant, fixed"
    )


def test_who_trains_at_another_size_is_named(project: Path) -> None:
    params = load(project / "params.yaml")
    assert params.task("digits").trained_elsewhere == ()
    assert params.task("mnist").trained_elsewhere == ("smoothed is trained at L2 1; attacked and certified at 1.5",)
    task = params.task("digits")
    harden = task.harden.model_copy(
        update={
            "adversarial": task.harden.adversarial.model_copy(update={"train_eps": 0.2}),
            "smoothed": SmoothAdv(method="smoothadv", sigma=0.5, epochs=1),
        }
    )
    said = task.model_copy(update={"harden": harden}).trained_elsewhere
    assert said == ("adversarial is trained at L-inf 0.2; attacked and certified at 0.15",)


RELATED = Bounds(np.zeros(4, np.float32), np.full(4, 99, np.float32), np.float32([0, 0, 5, 5]))


def test_what_follows_from_features_that_cannot_change_cannot_either() -> None:
    places = {"loan": 0, "term": 1, "rate": 2, "twice": 3}
    x = np.float32([[24, 12, 2, 4], [24, 12, 2, 5], [24, 12, 3, 4], [0, 0, 7, 14]])

    def free(*lines: str, scale: tuple[float, ...] = (0, 0, 5, 5)) -> list[list[bool]]:
        relations = Relations.of(lines, places)
        bounds = Bounds(RELATED.lower, RELATED.upper, np.float32(scale), relations=relations)
        return perturbable(x, bounds, 1.0)[:, 2:].tolist()

    # The second row breaks the second relation, the third one both, and owes them nothing; times 0 is anything.
    both = free("loan == rate * term", "twice == 2 * rate")
    assert both == [[False, False], [False, True], [True, True], [True, True]]
    assert free("rate <= loan / term", "twice >= rate") == [[True, True]] * 4
    assert free("rate == loan / term", scale=(5, 0, 5, 5)) == [[True, True]] * 4
    assert free("abs(rate) == loan / term")[0] == [True, True]


def test_nothing_is_measured_where_relations_leave_nothing() -> None:
    relations = Relations.of(
        ("rate == loan / term", "twice == 2 * rate"), {"loan": 0, "term": 1, "rate": 2, "twice": 3}
    )
    bounds = Bounds(RELATED.lower, RELATED.upper, RELATED.scale, relations=relations)
    names = ("loan", "term", "rate", "twice")
    columns = tuple(Column(name=name, kind="number", immutable=name in ("loan", "term")) for name in names)
    schema = Schema(task="t", kind="classification", target="y", columns=columns, shape=(4,), labels=("n", "y"))
    fixed = immovable(np.float32([[24, 12, 2, 4], [36, 12, 3, 6]]), bounds, 1.0, schema)
    assert fixed is not None
    assert fixed.everything
    assert fixed.says("linf", 1.0).startswith("nothing can be perturbed within L-inf 1: none of the 4 features can")
