"""Three columns, never one: what must hold between them, whatever is attacked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.bundle.model.guarded_model import Predictions
from redoubt.certify.refute import RefutedError
from redoubt.core.types import Floats, Threat
from redoubt.defenses.components import Component, components
from redoubt.evaluation import attack_columns as module
from redoubt.evaluation.ablation import ablate_guard
from redoubt.evaluation.attack_columns import Evaluation, WorstCase
from redoubt.evaluation.diagnostics import AttackSuccess
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.paired import unpacked
from redoubt.evaluation.redraws import REDRAWS
from redoubt.evaluation.results import Robustness, ThreatResult, join
from redoubt.evaluation.summarize import degenerate, summarize
from tests.support.evaluations import EPS, PARAMS, evaluation, evaluator_of, measured, norms, threats
from tests.support.tiny import IMAGE, TABLE, Guarded


@pytest.fixture(scope="module")
def result(guarded: Guarded) -> Robustness:
    return measured(guarded)[0]


@pytest.fixture(scope="module")
def table(bundles: Callable[[str], Guarded]) -> Guarded:
    """One task, for what is the same whatever is attacked and costs an evaluation of its own."""
    return bundles(TABLE)


def test_threats_are_every_norm_and_eps_rising(table: Guarded) -> None:
    sizes = [("linf", 0.000001), ("linf", 0.1), ("linf", 0.3), ("l2", 0.3), ("l2", 0.8)]
    assert [(threat.norm, threat.eps) for threat in threats(table)] == sizes


def test_a_worst_case_is_no_better_than_any_single_attack(result: Robustness) -> None:
    for cell in result.cells:
        single = [cell.noise, cell.fgsm, cell.pgd, *([cell.square] if cell.square else [])]
        assert cell.undefended.share <= min(each.share for each in [*single, result.clean])
        assert cell.adaptive.share <= min(cell.oblivious.share, result.clean_guarded.share)
        assert cell.adaptive.share <= (cell.query or cell.oblivious).share <= cell.oblivious.share
        assert {getattr(cell, name).n for name in ("noise", "undefended", "adaptive", "flagged_adaptive")} == {64}


def test_certified_is_no_more_than_the_worst_case(result: Robustness) -> None:
    for cell in result.cells:
        if cell.norm == "l2":
            assert cell.certified is None
            continue
        assert cell.certified.share <= cell.undefended.share
        assert cell.certified_guarded.share <= cell.adaptive.share
    assert next(cell for cell in result.cells if cell.norm == "linf").certified.share > 0.5


def test_every_column_is_scored_where_a_constant_is_worth_nothing(guarded: Guarded, result: Robustness) -> None:
    labels = guarded.model.schema.labels
    for cell in result.cells:
        columns = {"undefended", "oblivious", "adaptive"} | ({"certified", "certified_guarded"} & set(cell.scores))
        assert set(cell.scores) == columns
        assert ("certified" in cell.scores) == (cell.certified is not None)
        for name, score in cell.scores.items():
            assert score.metric == ("balanced accuracy" if labels else "tolerance skill")
            assert score.constant == (pytest.approx(1 / len(labels), abs=1e-6) if labels else 0.0)
            budget = cell.eps == EPS.of(cell.norm)
            assert len(score.per_class) == (len(labels) if budget else 0)
            rates = [each for each in score.per_class if each is not None]
            if rates:
                hits = sum(round(each.share * each.n) for each in rates)
                assert hits == round(64 * getattr(cell, name).share), "the classes do not add up to the column"
        assert cell.scores["adaptive"].value <= cell.scores["oblivious"].value
    assert result.scores["clean_guarded"].value > 0.7
    assert result.scores["clean"].metric == ("balanced accuracy" if labels else "R2")
    assert (result.mcc is None) == (not labels)
    assert result.degenerate is None


@pytest.mark.parametrize(
    ("outputs", "labels", "says"),
    [
        ([[1, 2], [0, 3]], ("a", "b"), "it predicts a single class, 'b', for all 2 examples"),
        ([[1, 2], [4, 3]], ("a", "b"), None),
        ([[1, np.nan], [4, 3]], ("a", "b"), "its output is not a finite number for 1 of 2 examples"),
        ([[5.0], [5.0]], (), "it predicts a single value, 5, for all 2 examples"),
        ([[5.0], [5.1]], (), None),
        ([[5.0], [np.inf]], (), "its output is not a finite number for 1 of 2 examples"),
    ],
    ids=["one-class", "two", "nan", "one-number", "two-numbers", "infinity"],
)
def test_outputs_that_are_worth_nothing(outputs: list[list[float]], labels: tuple[str, ...], says: str | None) -> None:
    assert degenerate(np.float32(outputs), labels) == says


def test_the_examples_behind_every_column_are_kept(result: Robustness) -> None:
    for cell in result.cells:
        assert set(cell.robust) == set(cell.scores)
        kept = {name: unpacked(bits, 64) for name, bits in cell.robust.items()}
        assert all(kept[name].mean() == pytest.approx(getattr(cell, name).share, abs=1e-6) for name in kept)
        assert not (kept["adaptive"] & ~kept["oblivious"]).any(), "who knows the guard finds what others find"
        if "certified" in kept:
            assert not (kept["certified"] & ~kept["undefended"]).any()
            assert not (kept["certified_guarded"] & ~kept["adaptive"]).any()
    assert unpacked(result.right["clean"], 64).mean() == pytest.approx(result.clean.share, abs=1e-6)


def test_an_attack_that_breaks_what_is_proven_ends_the_evaluation(
    table: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = np.ones(64, dtype=bool)
    monkeypatch.setattr(module, "certified_network", lambda *given: everything)
    with pytest.raises(
        RefutedError,
        match=r"^network: example \d+ is certified, .* misclassified at what an attack found within L-inf eps",
    ):
        evaluation(table, thorough=False).run(Threat("linf", 0.3))


def test_every_lost_row_is_on_one_attacks_account(result: Robustness) -> None:
    for cell in result.cells:
        broken = sum(count for _, count in cell.broken)
        assert broken == round(64 * (result.clean.share - cell.undefended.share))


def test_what_fools_the_guard_is_tried_on_the_network_too(table: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = evaluation(table, thorough=False)
    evaluator, batch = asked.evaluator, asked.batch
    blind = WorstCase(batch.x, evaluator.is_adversarial(batch.x, batch.y))
    known = int(blind.is_adversarial.sum())
    success = np.zeros(len(batch.x), dtype=bool)
    alone = AttackSuccess(noise=success, fgsm=success, pgd=success, white_box=success)
    asked.is_adversarial[Threat("linf", 0.3)] = alone
    monkeypatch.setattr(asked, "_undefended", lambda threat: blind)
    cell = asked.run(Threat("linf", 0.3))
    [(name, count)] = cell.broken
    assert name == "made for the guard"
    assert count == round(64 * (1 - cell.undefended.share)) - known > 0
    fooled = evaluator.is_adversarial(asked.examples[Threat("linf", 0.3)], batch.y)
    assert fooled.sum() == known + count, "the examples kept are those that fool the network"


def test_queries_are_asked_at_the_budget_alone(result: Robustness) -> None:
    for cell in result.cells:
        assert (cell.square is not None) == (cell.query is not None) == (cell.eps == EPS.of(cell.norm))


def test_what_a_choice_is_made_by_is_attacked_as_what_is_reported(table: Guarded) -> None:
    chosen_by = evaluation(table, thorough=False).run(Threat("linf", 0.1))
    assert chosen_by.query is not None
    assert chosen_by == measured(table)[0].at(Threat("linf", 0.1))


def test_a_larger_eps_is_no_easier_to_bear(guarded: Guarded, result: Robustness) -> None:
    for norm in norms(guarded):
        cells = [cell for cell in result.cells if cell.norm == norm]
        assert cells[0].undefended.share > cells[-1].undefended.share
        assert cells[0].adaptive.share > cells[-1].adaptive.share


def test_next_to_no_eps_leaves_the_clean_figures(result: Robustness) -> None:
    least = result.at(Threat("linf", 0.000001))
    assert least.undefended == least.noise == least.fgsm == result.clean
    assert least.oblivious == least.adaptive == result.clean_guarded
    assert least.flagged_adaptive == result.false_positives


def test_examples_are_those_of_the_undefended_column(guarded: Guarded, result: Robustness) -> None:
    case, examples = guarded.case, measured(guarded)[1].examples
    assert list(examples) == threats(guarded)
    for threat, x_adv in examples.items():
        case.bounds.check(x_adv)
        assert distance(x_adv - case.test.x, threat.norm, case.bounds).max() <= threat.eps * 1.001 + 1e-3
        is_adversarial = case.criterion.is_adversarial(guarded.model.network(x_adv), case.test.y)
        assert 1 - is_adversarial.mean() == pytest.approx(result.at(threat).undefended.share, abs=1e-6)


def test_what_is_measured_is_what_is_served(guarded: Guarded, result: Robustness) -> None:
    x, y = guarded.case.test.x, guarded.case.test.y
    assert result.digest == guarded.model.digest
    right = ~guarded.case.criterion.is_adversarial(guarded.model.network(x), y)
    assert result.clean.share == pytest.approx(right.mean(), abs=1e-6)
    assert result.clean_guarded.share == pytest.approx(result.clean.share, abs=0.15)


def test_classes_have_targets_and_numbers_have_errors(guarded: Guarded, result: Robustness) -> None:
    if guarded.case.schema.labels:
        assert list(result.targeted) == list(norms(guarded))
        assert all(cell.error_growth is None for cell in result.cells)
        # Any hit of a target is a miss of the truth.
        assert all(result.targeted[n].share <= 1 - result.at(EPS.threat(n)).pgd.share + 0.1 for n in result.targeted)
    else:
        assert result.targeted == {}
        errors = [cell.error_growth["mean"] for cell in result.cells if cell.norm == "linf" and cell.error_growth]
        assert len(errors) == 3
        assert errors == sorted(errors)


def test_the_same_again(table: Guarded) -> None:
    anew = Evaluation(evaluator_of(table), table.case.test, thorough=True)
    assert anew.run(Threat("linf", 0.1)) == measured(table)[0].at(Threat("linf", 0.1))


def test_the_same_in_json(result: Robustness) -> None:
    assert Robustness.model_validate_json(result.model_dump_json()) == result


def test_a_killed_evaluation_goes_on_where_it_was(
    table: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in its last attack but one, then begun again: what was done is read, and the record is the same."""
    real, tried = Evaluator.attack, []

    def attack(self: Evaluator, *given: Any) -> Floats:
        tried.append(given[0])
        if len(tried) == 5:
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(Evaluator, "attack", attack)
    with pytest.raises(KeyboardInterrupt):
        evaluation(table, tmp_path).run(Threat("linf", 0.1))
    # A use sets a file's time; one that is written anew is another file.
    stored = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    assert len(stored) == 4
    whole = measured(table)[0].at(Threat("linf", 0.1))
    assert evaluation(table, tmp_path).run(Threat("linf", 0.1)) == whole
    assert stored.items() <= {path: path.stat().st_ino for path in tmp_path.iterdir()}.items()


def test_what_the_asked_model_draws_does_not_depend_on_what_was_asked_before(guarded: Guarded) -> None:
    """Else a killed evaluation, whose first batches are read from disk, would end with another record."""
    x, asked = guarded.case.test.x, evaluation(guarded).evaluator.query_problem
    fresh, used = asked("linf"), asked("linf")
    used.predict(x[:5])
    assert np.array_equal(used.predict(x), fresh.predict(x))
    assert not np.allclose(fresh.predict(x[:1]), fresh.predict(np.repeat(x[:1], 2, axis=0))[1:])


def test_restarts_help_the_attacker_at_the_budget_alone(table: Guarded) -> None:
    def cells(restarts: int) -> list[ThreatResult]:
        work = evaluation(table, restarts=restarts)
        return [work.run(Threat("linf", 0.1)), work.run(Threat("linf", 0.3))]

    one, four = cells(1), cells(4)
    assert four[0].undefended.share <= one[0].undefended.share
    assert four[0].adaptive.share <= one[0].adaptive.share
    assert four[1] == one[1]


def test_norms_of_other_models_or_rows_are_not_joined(result: Robustness) -> None:
    with pytest.raises(ValueError, match="measured on different models or examples"):
        join([result, result.model_copy(update={"digest": "other"})])


def test_parts_are_judged_one_by_one(guarded: Guarded, result: Robustness) -> None:
    names = [cell.component for cell in result.components]
    voting = ["median", "squeezing"] if guarded.case.name == "image" else ["squeezing"]
    assert names == [*voting, "randomization", "detector", "all"]
    for cell in result.components:
        assert cell.adaptive.share <= cell.oblivious.share
    detector = next(cell for cell in result.components if cell.component == "detector")
    # Refusing costs clean rows and, against who does not know it, can only help.
    assert detector.clean.share <= result.clean.share
    assert detector.oblivious.share >= result.at(Threat("linf", 0.1)).undefended.share


def against_one_start(guarded: Guarded, component: Component) -> float:
    """The share of rows that stand when the part is attacked by selective gradients from one random start."""
    work, y = measured(guarded)[1], guarded.case.test.y
    evaluator, x_adv = work.evaluator, work.examples[Threat("linf", 0.1)].copy()
    is_adversarial = evaluator.is_adversarial_component(component, evaluator.predict(x_adv), y)
    active = np.flatnonzero(~is_adversarial)
    attack = PGD(steps=PARAMS.steps, eot=PARAMS.eot, early_stop=component.detects)
    x_adv[active] = evaluator.attack(
        attack, evaluator.component_problem(component, "linf"), guarded.case.test.take(active), 0.1
    )
    return float(
        1 - (is_adversarial | evaluator.is_adversarial_component(component, evaluator.predict(x_adv), y)).mean()
    )


def test_a_part_is_no_better_than_against_one_start(bundles: Callable[[str], Guarded]) -> None:
    """Of an image, whose guard has every part."""
    guarded = bundles(IMAGE)
    for component, cell in zip(components(guarded.model.guard), measured(guarded)[0].components, strict=True):
        assert cell.adaptive.share <= against_one_start(guarded, component) + 1e-9, cell.component


def test_a_detector_that_catches_nearly_every_single_start_is_evaded_more_often_by_several(
    table: Guarded,
) -> None:
    evaluator, x_adv = evaluation(table, restarts=3).evaluator, measured(table)[1].examples[Threat("linf", 0.1)]
    found = {cell.component: cell.adaptive.share for cell in ablate_guard(evaluator, table.case.test, x_adv, "linf")}
    for component in components(table.model.guard)[-2:]:
        against_one = against_one_start(table, component)
        assert found[component.name] < against_one
        assert against_one > 0.95


def test_who_knows_the_guard_is_no_single_kind_of_attack(table: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, str, float]] = []
    real = Evaluator.attack

    def attack(self: Evaluator, attack: Attack, problem: AttackProblem, *given: Any) -> Floats:
        tried.append((problem.name, type(attack).__name__, given[1]))
        return real(self, attack, problem, *given)

    monkeypatch.setattr(Evaluator, "attack", attack)
    work = evaluation(table)
    for eps in (0.1, 0.3):
        work.run(Threat("linf", eps))
    through = [each[1:] for each in tried if each[0] == "guard"]
    assert through == [("APGD", 0.1), ("PGD", 0.1), ("APGD", 0.3)]


@pytest.mark.parametrize(
    ("wins", "is_adversarial"), [((0, 0, 0), False), ((1, 0, 0), False), ((1, 0, 1), True), ((1, 1, 1), True)], ids=str
)
def test_the_majority_of_fresh_draws_decides(guarded: Guarded, wins: tuple[int, ...], is_adversarial: bool) -> None:
    work, said = evaluation(guarded), iter(wins)
    drawn: list[int] = []

    class Scripted:
        def predict(self, x: Floats, rng: np.random.Generator) -> Predictions:
            drawn.append(int(rng.integers(2**40)))
            right = 1.0 - next(said)
            votes = (
                np.float32([[right, 1 - right]]) if guarded.case.schema.labels else np.float32([[1e6 * (1 - right)]])
            )
            return Predictions(votes[:, None], votes, np.zeros(1, np.float32), np.zeros(1, bool))

    evaluator = Evaluator(guarded.case.network, Scripted(), work.evaluator.config)  # type: ignore[arg-type]
    flags = evaluator.is_adversarial_guarded(guarded.case.test.x[:1], np.zeros(1, np.int64))
    assert flags.tolist() == [is_adversarial]
    assert len(set(drawn)) == len(wins) == REDRAWS


def test_where_nothing_can_be_perturbed_nothing_is_measured_and_nobody_is_trusted(
    bundles: Callable[[str], Guarded],
) -> None:
    guarded = bundles(TABLE)
    case = guarded.case
    fixed = replace(case.bounds, scale=np.zeros_like(case.bounds.scale))
    config = EvaluationConfig(PARAMS, EPS, case.criterion, fixed, 1)
    work = Evaluation(Evaluator(case.network, guarded.model, config), case.test, thorough=True)
    cell = work.run(Threat("linf", 0.1))
    columns = ("noise", "fgsm", "pgd", "square", "undefended", "oblivious", "adaptive", "query", "flagged_adaptive")
    assert {getattr(cell, name) for name in (*columns, "certified", "certified_guarded")} == {None}
    assert not cell.measured
    assert cell.immovable is not None
    assert cell.immovable.features == ("weight", "age", "colour")
    assert np.array_equal(work.examples[Threat("linf", 0.1)], case.test.x)
    found = summarize(work, "linf", [], judge_parts=True)
    assert (found.targeted, found.components) == ({}, [])
    assert [check.found for check in found.failed_checks("linf")] == [
        "not measured: nothing can be perturbed within L-inf 0.1: none of the 3 features can change; at no eps could"
        " any"
    ]
    assert Robustness.model_validate(found.model_dump()) == found


def test_what_cannot_change_is_named_with_what_it_matters(bundles: Callable[[str], Guarded]) -> None:
    """Of 0.1 weight + 200 age + 50 green the weight counts most, and the colour next to nothing."""
    cell = measured(bundles(TABLE))[0].at(Threat("linf", 0.1))
    assert cell.immovable is not None
    assert (cell.immovable.features, cell.immovable.of, cell.immovable.examples) == (("colour",), 3, 0)
    found = measured(bundles(TABLE))[1].importance
    assert list(found) == ["weight", "age", "colour"]
    assert found["weight"] > found["age"] > found["colour"] >= 0
    assert cell.immovable.importance == pytest.approx(found["colour"] / sum(found.values()), abs=1e-6)
    assert all(cell.immovable is None for cell in measured(bundles(IMAGE))[0].cells)


def test_an_attack_that_cheats_stops_the_evaluation(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    def cheat() -> Callable[..., Floats]:
        return lambda problem, x, y, *, eps, seed: np.broadcast_to(x.mean(axis=0), x.shape)

    monkeypatch.setattr(module, "fgsm", cheat)
    with pytest.raises(AttackError, match="perturbed an input by"):
        evaluation(guarded).run(Threat("linf", 0.1))
