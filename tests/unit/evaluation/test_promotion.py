from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.evaluation.metrics import Rate
from redoubt.evaluation.promotion import Candidate, beats, candidate, choose
from redoubt.evaluation.verdict import Cell, Check, Robustness
from redoubt.params import GatesParams

GATES = GatesParams(clean=0.8, robust=0.4)
shares = st.floats(0, 1)
candidates = st.builds(Candidate, name=st.sampled_from("ab"), digest=st.just("d"), clean=shares, robust=shares)


def made(name: str, clean: float, robust: float) -> Candidate:
    return Candidate(name=name, digest=f"digest of {name}", clean=clean, robust=robust)


@pytest.mark.parametrize(
    ("clean", "robust", "failed"),
    [
        (0.9, 0.5, []),
        (0.8, 0.4, []),
        (0.79, 0.5, ["clean lower bound 0.790 is below the gate 0.8"]),
        (0.9, 0.1, ["robust lower bound 0.100 is below the gate 0.4"]),
        (0.0, 0.0, ["clean lower bound 0.000 is below the gate 0.8", "robust lower bound 0.000 is below the gate 0.4"]),
    ],
)
def test_a_gate_that_is_not_cleared_says_by_how_much(clean: float, robust: float, failed: list[str]) -> None:
    assert made("a", clean, robust).failed(GATES) == failed


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([made("natural", 0.99, 0.1), made("adversarial", 0.9, 0.5)], "adversarial"),
        ([made("natural", 0.99, 0.6), made("adversarial", 0.9, 0.5)], "natural"),
        ([made("natural", 0.9, 0.5), made("adversarial", 0.95, 0.5)], "adversarial"),
        ([made("natural", 0.9, 0.5), made("adversarial", 0.7, 0.9)], "natural"),
        ([made("natural", 0.99, 0.1), made("adversarial", 0.5, 0.5)], None),
        ([], None),
    ],
    ids=["one-clears", "more-robust", "tie", "robust-but-wrong", "none-clears", "none-there"],
)
def test_the_most_robust_that_clears_every_gate_is_chosen(found: list[Candidate], chosen: str | None) -> None:
    best = choose(found, GATES)
    assert (best.name if best else None) == chosen


@given(st.lists(candidates, max_size=5))
def test_whoever_is_chosen_clears_the_gates_and_is_beaten_by_nobody(found: list[Candidate]) -> None:
    best = choose(found, GATES)
    passing = [each for each in found if not each.failed(GATES)]
    assert (best is None) == (not passing)
    assert best is None or all(beats(best, each.model_dump()) for each in passing)


@pytest.mark.parametrize(
    ("incumbent", "replaced"),
    [
        ({"robust": 0.4, "clean": 0.99}, True),
        ({"robust": 0.5, "clean": 0.9}, True),
        ({"robust": 0.5, "clean": 0.91}, False),
        ({"robust": 0.51, "clean": 0.1}, False),
    ],
    ids=["less-robust", "same", "same-but-cleaner", "more-robust"],
)
def test_an_incumbent_yields_to_its_equal_only(incumbent: dict[str, Any], replaced: bool) -> None:
    assert beats(made("a", 0.9, 0.5), incumbent) == replaced


def share(low: float) -> Rate:
    return Rate(share=low + 0.1, low=low, high=low + 0.2, n=10)


def test_a_candidate_stands_by_the_lower_ends_with_the_guard_against_who_knows_it() -> None:
    columns = ("noise", "fgsm", "pgd", "undefended", "oblivious", "flagged_oblivious", "flagged_adaptive")
    cells = [
        Cell(norm=norm, eps=eps, adaptive=share(low), broken=[], **dict.fromkeys(columns, share(0.77)))
        for norm, eps, low in (("linf", 0.1, 0.3), ("linf", 0.2, 0.2), ("l2", 0.2, 0.6))
    ]
    measured = Robustness(
        digest="d", clean=share(0.75), clean_guarded=share(0.7), false_positives=share(0.05), cells=cells
    )
    assert candidate("a", measured, "linf", 0.2) == Candidate(name="a", digest="d", clean=0.7, robust=0.2)
    assert candidate("a", measured, "l2", 0.2).robust == 0.6


def test_figures_that_are_not_to_be_trusted_promote_nobody() -> None:
    checks = [
        Check(name="outputs are logits", passed=True, found="they are"),
        Check(name="restarts change little", passed=False, found="9.0 % more"),
    ]
    columns = ("noise", "fgsm", "pgd", "undefended", "oblivious", "adaptive", "flagged_oblivious", "flagged_adaptive")
    cell = Cell(norm="linf", eps=0.1, broken=[], **dict.fromkeys(columns, share(0.7)))
    measured = Robustness(
        digest="d",
        clean=share(0.9),
        clean_guarded=share(0.9),
        false_positives=share(0.05),
        cells=[cell],
        lint={"linf": checks, "l2": []},
    )
    found = candidate("a", measured, "linf", 0.1)
    assert found.failed(GATES) == ["the figures are not to be trusted: restarts change little: 9.0 % more"]
    assert choose([found], GATES) is None
