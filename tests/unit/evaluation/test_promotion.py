import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.core.types import Threat
from redoubt.evaluation.metrics import Rate, Score
from redoubt.evaluation.promotion import (
    Candidate,
    PromotionError,
    beats,
    best_guards,
    candidate,
    choose,
    next_step,
)
from redoubt.evaluation.results import Check, Robustness, ThreatResult
from redoubt.params.settings.sections import GatesParams

GATES = GatesParams(margin=0.0, worse_than_linear=0.05, clean=0.6, robust=0.4)
RELATIVE = GatesParams()
COLUMNS = ("noise", "fgsm", "pgd", "undefended", "oblivious", "flagged_oblivious", "flagged_adaptive")


def score(low: float, constant: float = 0.5) -> Score:
    return Score(metric="balanced accuracy", value=low, low=low, high=1.0, n=50, constant=constant)


def made(name: str, clean: float, robust: float, **more: Any) -> Candidate:
    return Candidate(
        name=name, digest=f"digest of {name}", clean=score(clean), robust=score(robust), **({"linear": 0.6} | more)
    )


shares = st.floats(0, 1)
candidates = st.builds(made, name=st.sampled_from("ab"), clean=shares, robust=shares, linear=shares)


@pytest.mark.parametrize(
    ("clean", "robust", "linear", "failed"),
    [
        (0.9, 0.5, 0.9, []),
        (0.6, 0.4, 0.65, []),
        (0.59, 0.5, 0.6, ["clean balanced accuracy 0.590 (0.590 to 1.000) is below the gate 0.6 at its lower end"]),
        (0.9, 0.1, 0.6, ["robust balanced accuracy 0.100 (0.100 to 1.000) is below the gate 0.4 at its lower end"]),
        (
            0.8,
            0.5,
            0.9,
            [
                "clean balanced accuracy 0.800 is 0.100 below the linear model's 0.900; gates.worse_than_linear "
                "allows 0.05"
            ],
        ),
    ],
)
def test_a_gate_that_is_not_cleared_says_by_how_much(
    clean: float, robust: float, linear: float, failed: list[str]
) -> None:
    assert made("a", clean, robust, linear=linear).failed(GATES) == failed


def test_a_model_that_is_not_surely_better_than_a_constant_is_refused() -> None:
    (failed,) = made("a", 0.5, 0.5, linear=0.5).failed(RELATIVE)
    assert (
        failed == "clean balanced accuracy 0.500 (0.500 to 1.000) is not significantly above 0.5, "
        "which a constant predictor scores"
    )
    assert made("a", 0.501, 0.5, linear=0.5).failed(RELATIVE) == []
    (failed,) = made("a", 0.54, 0.5, linear=0.5).failed(GatesParams(margin=0.05))
    assert failed.endswith("is not significantly above 0.55, which is a constant predictor plus gates.margin")


def test_one_predicted_class_is_refused_whatever_it_scores_and_says_so() -> None:
    said = "it predicts a single class, 'no', for all 200 examples"
    useless = made("natural", 0.99, 0.99, degenerate=said)
    assert useless.failed(RELATIVE) == [f"{said}; such a model is trivially robust"]
    assert choose([useless], RELATIVE) is None


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([made("natural", 0.99, 0.1), made("adversarial", 0.9, 0.6)], "adversarial"),
        ([made("natural", 0.99, 0.7), made("adversarial", 0.9, 0.6)], "natural"),
        ([made("natural", 0.9, 0.6), made("adversarial", 0.95, 0.6)], "adversarial"),
        ([made("natural", 0.9, 0.6), made("adversarial", 0.55, 0.9)], "natural"),
        ([made("natural", 0.9, 0.42), made("adversarial", 0.7, 0.5)], "natural"),
        ([made("natural", 0.99, 0.1), made("adversarial", 0.5, 0.5)], None),
        ([], None),
    ],
    ids=["one-clears", "more-robust", "tie", "robust-but-wrong", "no-more-robust-than-a-constant", "none", "nobody"],
)
def test_the_most_robust_that_clears_every_gate_is_chosen(found: list[Candidate], chosen: str | None) -> None:
    best = choose(found, GATES)
    assert (best.name if best else None) == chosen


@given(st.lists(candidates, max_size=5))
def test_whoever_is_chosen_clears_the_gates_and_is_beaten_by_nobody(found: list[Candidate]) -> None:
    best = choose(found, GATES)
    passing = [each for each in found if not each.failed(GATES)]
    assert (best is None) == (not passing)
    assert best is None or all(beats(best, each) for each in passing)


@pytest.mark.parametrize(
    ("robust", "clean", "replaced"),
    [(0.6, 0.99, True), (0.7, 0.9, True), (0.7, 0.91, False), (0.71, 0.1, False)],
    ids=["less-robust", "same", "same-but-cleaner", "more-robust"],
)
def test_an_incumbent_yields_to_its_equal_only(robust: float, clean: float, replaced: bool) -> None:
    assert beats(made("a", 0.9, 0.7), made("b", clean, robust)) == replaced


@pytest.mark.parametrize(
    ("voting", "plain", "vote"),
    [
        ((0.74, 0.0, 0.93), (0.77, 0.75, 0.96), "plain"),
        ((0.80, 0.2, 0.93), (0.10, 0.0, 0.96), "all"),
        ((0.78, 0.0, 0.93), (0.77, 0.75, 0.96), "plain"),
        ((0.77, None, 0.93), (0.70, None, 0.96), "all"),
        ((0.76, 0.7, 0.93), (0.77, 0.5, 0.96), "plain"),
        ((0.77, 0.7, 0.95), (0.77, 0.7, 0.94), "all"),
        ((0.77, 0.7, 0.95), (0.77, 0.7, 0.95), "plain"),
    ],
    ids=[
        "costs",
        "gains",
        "gains-less-than-is-proven",
        "nothing-proven",
        "lowers-what-attacks-leave",
        "cleaner",
        "no-difference",
    ],
)
def test_of_two_guards_the_one_that_leaves_more_is_taken(
    voting: tuple[float, float | None, float], plain: tuple[float, float | None, float], vote: str
) -> None:
    both = [
        made("a", clean, robust, vote=each, certified=None if certified is None else score(certified))
        for each, (robust, certified, clean) in (("all", voting), ("plain", plain))
    ]
    for found in (both, both[::-1]):
        (better,) = best_guards(found)
        assert better.vote == vote
        assert choose(found, GATES) == better


def test_of_three_guards_one_that_lowers_what_attacks_leave_makes_way_for_the_next_best() -> None:
    guards = [
        made("a", 0.9, 0.5, vote="all", certified=score(0.9)),
        made("a", 0.9, 0.65, vote="squeezed", certified=score(0.1)),
        made("a", 0.9, 0.6, vote="plain", certified=score(0.0)),
    ]
    assert [each.vote for each in best_guards(guards)] == ["squeezed"]
    assert [each.vote for each in best_guards(guards[::2])] == ["plain"]


def test_a_guard_that_clears_the_gates_goes_before_a_better_one_that_does_not() -> None:
    clears, better = made("a", 0.7, 0.5), made("a", 0.55, 0.9, vote="plain")
    assert choose([clears, better], GATES) == clears


def share(low: float) -> Rate:
    return Rate(share=low + 0.1, low=low, high=low + 0.2, n=10)


def measured(checks: list[Check], **change: Any) -> Robustness:
    cells = [
        ThreatResult(
            norm=norm,
            eps=eps,
            adaptive=share(0.9),
            broken=[],
            scores={"adaptive": score(low)},
            **dict.fromkeys(COLUMNS, share(0.77)),
        )
        for norm, eps, low in (("linf", 0.1, 0.3), ("linf", 0.2, 0.2), ("l2", 0.2, 0.6))
    ]
    found = Robustness(
        digest="d",
        clean=share(0.75),
        clean_guarded=share(0.7),
        false_positives=share(0.05),
        cells=cells,
        checks={"linf": checks, "l2": []},
        scores={"clean": score(0.8), "clean_guarded": score(0.65)},
        mcc=0.4,
    )
    return found.model_copy(update=change)


def test_a_candidate_stands_by_its_scores_with_the_guard_against_who_knows_it() -> None:
    found = candidate("a", measured([]), Threat("linf", 0.2), linear=0.7)
    assert found == Candidate(name="a", digest="d", clean=score(0.65), robust=score(0.2), linear=0.7, mcc=0.4)
    assert candidate("a", measured([]), Threat("l2", 0.2), linear=0.7).robust.low == 0.6


def test_figures_that_are_not_to_be_trusted_promote_nobody() -> None:
    checks = [
        Check(name="outputs are logits", passed=True, found="they are"),
        Check(name="random restarts add little", passed=False, found="9.0 % more"),
    ]
    found = candidate("a", measured(checks), Threat("linf", 0.1), linear=0.6)
    assert found.failed(RELATIVE) == ["failed check: random restarts add little: 9.0 % more"]
    assert choose([found], RELATIVE) is None


def test_figures_without_scores_choose_nobody() -> None:
    with pytest.raises(PromotionError, match="'a' have no score against a constant.*run the attack stage again"):
        candidate("a", measured([], scores={}), Threat("linf", 0.1), linear=0.5)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            [made("a", 0.5, 0.5, linear=0.5), made("b", 0.4, 0.9, linear=0.5)],
            "better than a constant predictor.*balance",
        ),
        ([made("a", 0.7, 0.6, linear=0.9), made("b", 0.6, 0.9, linear=0.9)], "a linear model does better"),
        ([made("a", 0.9, 0.1), made("b", 0.7, 0.1)], "lower the gate that is named"),
    ],
    ids=["nothing-learnt", "linear", "not-robust"],
)
def test_what_to_do_follows_from_what_stopped_them(found: list[Candidate], says: str) -> None:
    assert re.search(says, next_step(found, GATES))


def test_a_regression_is_not_told_of_classes() -> None:
    r2 = score(0.0, constant=0.0).model_copy(update={"metric": "R2"})
    useless = made("a", 0.5, 0.5).model_copy(update={"clean": r2, "robust": r2})
    said = next_step([useless], RELATIVE)
    assert said.startswith("no model is significantly better than a constant predictor: add examples")
