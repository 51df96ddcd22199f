"""A guard of which one variant alone answers: what is known of it is what its own bundle gives when it is attacked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.types import Vote
from redoubt.bundle.certificates import certified_eps
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, GuardedModel, softmax
from redoubt.core.types import Threat
from redoubt.defenses.behind import write_behind
from redoubt.defenses.components import components
from redoubt.evaluation.guards import behind, clean_behind
from redoubt.evaluation.metrics import Rate
from redoubt.evaluation.results import CostResult, GuardedClean, Robustness
from redoubt.evaluation.summarize import summarize
from tests.support.evaluations import evaluation
from tests.support.tiny import NAMES, TABLE, Guarded


def alone(voting: Guarded, vote: Vote, folder: Path) -> Guarded:
    """The same network behind the guard of which this variant alone answers."""
    write_behind(voting.folder, folder, vote, voting.case.test.x)
    return replace(voting, folder=folder, model=GuardedModel.load(folder))


@pytest.fixture(scope="module", params=NAMES)
def pair(
    request: pytest.FixtureRequest, bundles: Callable[[str], Guarded], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Guarded, Guarded]:
    """A bundle whose variants vote, and the same network behind the guard that only detects."""
    voting = bundles(request.param)
    return voting, alone(voting, "plain", tmp_path_factory.mktemp("detecting") / voting.case.name)


@pytest.fixture(scope="module", params=NAMES)
def squeezing(
    request: pytest.FixtureRequest, bundles: Callable[[str], Guarded], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Guarded, Guarded]:
    """A bundle whose variants vote, and the same network answering by the squeezed one."""
    voting = bundles(request.param)
    return voting, alone(voting, "squeezed", tmp_path_factory.mktemp("squeezing") / voting.case.name)


def test_its_answer_is_the_networks_own_and_always_the_same(pair: tuple[Guarded, Guarded]) -> None:
    voting, plain = pair
    x = plain.case.test.x
    one, other = (plain.model.predict(x, np.random.default_rng(seed)) for seed in range(2))
    network = voting.model.network(x)
    expected = softmax(network) if plain.case.schema.labels else network
    assert np.abs(one.vote - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))
    assert np.array_equal(one.vote, other.vote)
    assert plain.model.variants == voting.model.guard.fixed_variants
    assert plain.model.digest != voting.model.digest


def test_it_flags_what_the_voting_guard_flags(pair: tuple[Guarded, Guarded]) -> None:
    voting, plain = pair
    assert plain.model.threshold == voting.model.threshold
    scores = [each.model.predict(each.case.test.x, np.random.default_rng(0)).score for each in pair]
    assert np.allclose(*scores, rtol=1e-3, atol=1e-4)


def test_what_is_proven_of_it_is_what_is_proven_of_the_network(pair: tuple[Guarded, Guarded]) -> None:
    voting, plain = pair
    x = plain.case.test.x
    proof = plain.model.prove(x, 0.05, np.random.default_rng(0))
    network = voting.model.prove_network(x, 0.05)
    assert proof.shape == (len(x), 1, max(plain.case.schema.outputs, 2))
    assert np.allclose(proof[:, 0], network, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(network).max())))
    assert np.allclose(plain.model.prove_network(x, 0.05), network, rtol=1e-4, atol=1e-3)
    if plain.case.schema.labels:
        label = plain.model.predict(x, np.random.default_rng(0)).vote.argmax(axis=1)
        found = [certified_eps(each.model, x, label, 0, 0.5) for each in (plain, voting)]
        assert (found[0] >= found[1]).all()
        assert found[0].mean() > found[1].mean()


def test_its_parts_are_the_detector_alone(pair: tuple[Guarded, Guarded]) -> None:
    assert [(each.name, each.variants) for each in components(pair[1].model.guard)] == [
        ("detector", ("plain",)),
        ("all", ("plain",)),
    ]


def test_the_figures_derived_are_those_of_an_attack_on_it(pair: tuple[Guarded, Guarded]) -> None:
    """An evaluation of its own climbs from further starts: it may find an example or two more, never fewer."""
    budget = Threat("linf", 0.1)
    found = []
    for each in pair:
        work = evaluation(each, thorough=False)
        cell = work.run(budget)
        found.append((cell, summarize(work, "linf", [], judge_parts=False)))
    derived, (cell, whole) = behind(found[0][1], "plain"), found[1]
    told = derived.at(budget)
    assert told.undefended == cell.undefended == cell.oblivious == told.oblivious == told.adaptive
    assert told.certified == told.certified_guarded == cell.certified == cell.certified_guarded
    assert cell.adaptive.share <= told.adaptive.share <= cell.adaptive.share + 3 / 64
    assert told.flagged_adaptive == told.flagged_oblivious == cell.flagged_oblivious
    assert told.scores["oblivious"] == cell.scores["oblivious"]
    assert told.scores["certified_guarded"] == cell.scores["certified_guarded"]
    assert (derived.clean, derived.clean_guarded) == (whole.clean, whole.clean_guarded)
    assert derived.scores == whole.scores
    assert derived.right == whole.right
    assert told.robust["oblivious"] == cell.robust["oblivious"]
    assert told.robust["certified_guarded"] == cell.robust["certified_guarded"]
    assert derived.mcc == pytest.approx(whole.mcc, abs=1e-9)


def test_the_squeezed_variant_answers_as_it_did_among_the_others(squeezing: tuple[Guarded, Guarded]) -> None:
    voting, squeezed = squeezing
    x = squeezed.case.test.x
    one, other = (squeezed.model.predict(x, np.random.default_rng(seed)) for seed in range(2))
    outputs = voting.model.predict(x, np.random.default_rng(0)).outputs[:, voting.model.variants.index("squeezed")]
    expected = softmax(outputs) if squeezed.case.schema.labels else outputs
    assert np.allclose(one.vote, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
    assert np.array_equal(one.vote, other.vote)
    assert squeezed.model.variants == voting.model.guard.fixed_variants


def test_what_is_proven_of_it_is_what_is_proven_of_the_squeezed_variant(squeezing: tuple[Guarded, Guarded]) -> None:
    voting, squeezed = squeezing
    x = squeezed.case.test.x
    proof = squeezed.model.prove(x, 0.05, np.random.default_rng(0))
    every = voting.model.prove(x, 0.05, np.random.default_rng(0))[:, voting.model.variants.index("squeezed")]
    assert proof.shape == (len(x), 1, max(squeezed.case.schema.outputs, 2))
    assert np.allclose(proof[:, 0], every, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(every).max())))
    assert np.allclose(squeezed.model.prove_network(x, 0.05), voting.model.prove_network(x, 0.05))


def test_the_figures_beside_are_those_of_an_attack_on_the_squeezing_guard(squeezing: tuple[Guarded, Guarded]) -> None:
    voting, squeezed = squeezing
    budget = Threat("linf", 0.1)
    both = evaluation(voting, thorough=False, others=("squeezed",))
    both.run(budget)
    own = evaluation(squeezed, thorough=False)
    cell = own.run(budget)
    derived = behind(summarize(both, "linf", [], judge_parts=False), "squeezed")
    whole, told = summarize(own, "linf", [], judge_parts=False), derived.at(budget)
    # What was made for the guard that votes is tried on the network too, and only there.
    assert told.undefended.share <= cell.undefended.share
    guarded = ("oblivious", "adaptive", "certified_guarded", "flagged_adaptive")
    assert [getattr(told, name) for name in guarded] == [getattr(cell, name) for name in guarded]
    assert {name: told.scores[name] for name in guarded[:3]} == {name: cell.scores[name] for name in guarded[:3]}
    assert {name: told.robust[name] for name in guarded[:3]} == {name: cell.robust[name] for name in guarded[:3]}
    assert (derived.clean, derived.clean_guarded) == (whole.clean, whole.clean_guarded)
    assert (derived.scores, derived.right, derived.mcc) == (whole.scores, whole.right, whole.mcc)


def test_an_attacker_with_a_budget_meets_the_guard_that_is_chosen() -> None:
    rates = [Rate(share=share, low=share, high=share, n=20) for share in (0.75, 0.5)]
    columns = dict(zip(("undefended", "adaptive"), rates, strict=True))
    mcc = {"undefended": 0.5, "adaptive": 0.1}
    cost = CostResult(budget=10.0, prices={"age": 1.0}, robust=dict.fromkeys(columns, "AA=="), mcc=mcc, **columns)
    measured = Robustness(
        digest="", clean=rates[0], clean_guarded=rates[0], false_positives=rates[0], cells=[], cost=cost
    )
    measured = measured.model_copy(update={"behind": {"squeezed": GuardedClean(clean_guarded=rates[0])}})
    assert behind(measured, "all").cost == cost
    plain, squeezed = (behind(measured, vote).cost for vote in ("plain", "squeezed"))
    assert plain
    assert squeezed
    assert (plain.adaptive, plain.mcc["adaptive"]) == (plain.undefended, 0.5)
    assert (squeezed.adaptive, list(squeezed.mcc)) == (None, ["undefended"])
    assert squeezed.says().endswith("75.0 % (75 to 75, MCC 0.50) undefended, not measured guarded and adaptive")


def test_clean_figures_are_those_of_what_answers() -> None:
    clean = {name: {"accuracy": share} for name, share in (("undefended", 0.9), ("guarded", 0.8), ("squeezed", 0.85))}
    found = {vote: clean_behind(clean, vote) for vote in ("all", "squeezed", "plain")}
    assert {vote: each["guarded"]["accuracy"] for vote, each in found.items()} == {
        "all": 0.8,
        "squeezed": 0.85,
        "plain": 0.9,
    }
    assert all(each["undefended"] == clean["undefended"] for each in found.values())


def test_its_files_are_those_that_were_attacked(pair: tuple[Guarded, Guarded]) -> None:
    voting, plain = pair
    for name in BUNDLE_FILES:
        one, other = ((each.folder / name).read_bytes() for each in (voting, plain))
        assert (one == other) == (name != "guard.json")


def test_it_runs_no_random_variant_and_proves_no_smoothed_one(pair: tuple[Guarded, Guarded]) -> None:
    plain = pair[1].model
    for session in (plain._session, plain._proof):
        assert {each.name for each in session.get_inputs()} <= {"x", "eps"}


def test_a_graph_that_answers_otherwise_is_not_promoted(
    bundles: Callable[[str], Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voting = bundles(TABLE)
    monkeypatch.setattr(GuardedModel, "network", lambda self, x: network(self, x)[:, ::-1])
    with pytest.raises(BundleError, match="answers otherwise than the network that was attacked"):
        write_behind(voting.folder, tmp_path / "made", "plain", voting.case.test.x)
    assert not (tmp_path / "made").exists()


network = GuardedModel.network


def test_a_guard_that_votes_is_written_as_it_always_was(bundles: Callable[[str], Guarded]) -> None:
    assert "vote" not in bundles(TABLE).model.guard.model_dump_json()
