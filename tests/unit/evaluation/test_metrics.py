import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.evaluation.metrics import (
    MetricError,
    balanced_accuracy,
    class_metrics,
    confusion,
    error_growth,
    rate,
    regression_metrics,
    robust_mcc,
    skill,
)


# From the formula of Wilson (1927), worked out by hand.
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (50, 100, 0.403832, 0.596168),
        (907, 1000, 0.887409, 0.923476),
        (1, 1, 0.206549, 1.0),
    ],
)
def test_intervals_are_wilsons(hits: int, n: int, low: float, high: float) -> None:
    found = rate(np.arange(n) < hits)
    assert (found.share, found.n) == (hits / n, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_an_interval_holds_its_share_and_lies_between_0_and_1(flags: list[bool]) -> None:
    found, other = rate(np.array(flags)), rate(~np.array(flags))
    assert 0 <= found.low <= found.share <= found.high <= 1
    assert found.low == pytest.approx(1 - other.high, abs=2e-6)


def test_a_share_of_nothing() -> None:
    with pytest.raises(ValueError, match="a rate needs at least one example"):
        rate(np.zeros(0, bool))


def test_regression_metrics() -> None:
    found = regression_metrics(np.float32([1, 2, 6]), np.float32([1, 3, 4]))
    assert found == pytest.approx({"mae": 1.0, "rmse": np.sqrt(5 / 3), "r2": 1 - 5 / (14 / 3)})


def test_error_growth_is_what_an_attack_adds_on_either_side_of_the_truth() -> None:
    clean, truth = np.float32([10, 10, 10, 10]), np.float32([10, 12, 8, 10])
    found = error_growth(np.float32([13, 7, 16, 10]), clean, truth)
    assert found == pytest.approx({"mean": (3 + 3 + 6 + 0) / 4, "p95": 3 + 0.85 * 3, "max": 6.0})
    assert error_growth(np.float32([12]), np.float32([10]), np.float32([13])) == {"mean": -2, "p95": -2, "max": -2}
    assert error_growth(clean, clean, truth) == {"mean": 0, "p95": 0, "max": 0}


values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3)


@given(values, values, values)
def test_no_error_grows_by_more_than_the_answer_moves(
    attacked: list[float], clean: list[float], truth: list[float]
) -> None:
    found = error_growth(np.float32(attacked), np.float32(clean), np.float32(truth))
    x_adv = np.abs(np.subtract(attacked, clean)).max()
    assert -x_adv - 1e-6 <= found["mean"] <= found["max"] + 1e-6 <= x_adv + 2e-6
    assert found["p95"] <= found["max"]


@pytest.mark.parametrize("shapes", [(3, 3, 2), ((3, 1), 3, 3), ((3, 1), (3, 1), (3, 1)), (0, 0, 0)], ids=str)
def test_error_growth_of_what_does_not_belong_together(shapes: tuple[int | tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(examples,\\) of each, at least one example"):
        error_growth(*(np.zeros(shape, np.float32) for shape in shapes))


def test_confusion_has_a_row_per_truth_even_for_a_class_that_did_not_occur() -> None:
    counts = confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), ["a", "b", "c"])
    assert counts == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


answered = st.integers(1, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes), st.lists(st.tuples(st.integers(0, classes - 1), st.booleans()), min_size=1, max_size=60)
    )
)


@given(answered)
def test_a_balanced_interval_holds_its_value_and_lies_within_the_classes_own(
    given_: tuple[int, list[tuple[int, bool]]],
) -> None:
    classes, rows = given_
    y, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = balanced_accuracy(right, y, classes)
    known = [each for each in found.per_class if each is not None]
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(np.mean([each.share for each in known]), abs=2e-6)
    assert found.low >= np.mean([each.low for each in known]) - 2e-6
    assert [each is None for each in found.per_class] == [not np.any(y == label) for label in range(classes)]
    if len(known) == 1:
        assert (found.low, found.high) == pytest.approx((known[0].low, known[0].high), abs=2e-6), "it is not Wilson's"


@given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 99))
def test_a_constant_has_a_balanced_accuracy_of_1_in_so_many_classes(classes: int, answer: int, seed: int) -> None:
    y = np.concatenate([np.arange(classes), np.random.default_rng(seed).integers(classes, size=40)])
    found = balanced_accuracy(y == answer % classes, y, classes)
    assert found.value == found.constant == pytest.approx(1 / classes, abs=1e-6)
    assert found.low <= found.constant, "a constant would be better than itself"
    assert found.gained == 0
    assert class_metrics(np.full(len(y), answer % classes), y, classes)["mcc"] == 0


def wilson(share: float, n: int, z: float) -> np.ndarray:
    centre, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.array([centre - half, centre + half]) / (1 + z * z / n)


def test_a_balanced_interval_is_the_stratified_wilson_interval() -> None:
    """By the formula: classes of 8 in 10 and 50 in 100."""
    y = np.repeat([0, 1], [10, 100])
    found = balanced_accuracy(np.concatenate([np.arange(10) < 8, np.arange(100) < 50]), y, 2)
    widths = [0.943318 - 0.490162, 0.596168 - 0.403832]
    z = 1.959964 * np.hypot(*widths) / sum(widths)
    low, high = (wilson(0.8, 10, z) + wilson(0.5, 100, z)) / 2
    assert (found.value, found.low, found.high) == pytest.approx((0.65, low, high), abs=3e-6)
    assert found.constant == 0.5


@pytest.mark.parametrize(("classes", "each", "hits"), [(10, 30, 29), (2, 50, 50), (3, 20, 7)])
def test_classes_alike_have_the_interval_that_all_examples_together_have(classes: int, each: int, hits: int) -> None:
    y, right = np.repeat(np.arange(classes), each), np.tile(np.arange(each) < hits, classes)
    found, whole = balanced_accuracy(right, y, classes), rate(right)
    assert (found.value, found.low, found.high) == pytest.approx((whole.share, whole.low, whole.high), abs=5e-6)


def test_what_looked_like_95_percent_is_worth_nothing() -> None:
    truth = np.repeat([0, 1], [189, 11])
    found = class_metrics(np.zeros(200, int), truth, 2)
    assert found == {"accuracy": 0.945, "balanced_accuracy": 0.5, "mcc": 0.0}


losses = st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1, max_size=30)


@settings(max_examples=25)
@given(losses)
def test_skill_is_0_for_the_constant_1_for_perfection_and_lies_in_its_interval(
    pairs: list[tuple[float, float]],
) -> None:
    loss, constant = np.array(pairs).T
    if not constant.sum() > 0:
        with pytest.raises(MetricError, match=f"the constant is wrong; it is right on all {len(pairs)}"):
            skill(loss, constant, "R2")
        return
    found = skill(loss, constant, "R2")
    assert found.low <= found.value <= found.high <= 1
    assert found == skill(loss, constant, "R2"), "the draws differ from call to call"
    same, perfect = skill(constant, constant, "R2"), skill(np.zeros(len(pairs)), constant, "R2")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert (perfect.value, perfect.low) == (1, 1)


def test_skill_of_squared_errors_is_r2() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    values = truth + 0.5 * rng.normal(size=400)
    found = skill(np.square(values - truth), np.square(truth - truth.mean()), "R2")
    assert found.value == pytest.approx(regression_metrics(np.float32(values), np.float32(truth))["r2"], abs=1e-5)
    assert 0.6 < found.low < found.value < found.high < 0.9
    noise = skill(np.square(truth - 0.05 * rng.normal(size=400)), np.square(truth), "R2")
    assert noise.low < 0 < noise.high, "noise has learnt something"


def test_answers_that_are_no_number_have_the_least_skill_and_no_infinity() -> None:
    found = skill(np.array([1.0, np.nan, np.inf]), np.ones(3), "R2")
    assert found.value == found.low == -1e6


def test_a_constant_is_no_more_than_chance_by_robust_mcc() -> None:
    y = np.array([0, 0, 1, 1])
    first = np.array([[2.0, 1.0]] * 4, np.float32)
    assert robust_mcc(y == 0, first, y) == 0.0
    assert robust_mcc(np.ones(4, bool), first, y) == 1.0
    assert robust_mcc(np.zeros(4, bool), first, y) == -1.0
