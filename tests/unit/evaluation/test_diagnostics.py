"""Sound figures pass; a model that hides its gradients is caught."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redoubt.attacks.core.criteria import Criterion, Tolerance, Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.ensemble import Member
from redoubt.core.types import PIXELS, Floats, Threat
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.diagnostics import AttackSuccess, Observed, Unbounded, gradient_masking_checks
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.probes import diagnose
from redoubt.evaluation.results import Check, ThreatResult
from redoubt.evaluation.shared_network import SharedNetwork
from redoubt.models.networks import build
from redoubt.params.settings.networks import Cnn
from redoubt.params.settings.sections import AttackParams, Eps
from redoubt.training.fit import Plan, compile_network, fit
from redoubt.training.methods.pgd import AdversarialObjective
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import Trainer
from tests.support import tiny

ROWS = 200


def flags(broken: int) -> np.ndarray:
    """The first rows are lost."""
    return np.arange(ROWS) < broken


def cell(eps: float, undefended: int, fgsm: int = 20) -> ThreatResult:
    """Counts are of rows lost."""
    share = {name: rate(~flags(fgsm)) for name in ("noise", "fgsm", "pgd", "oblivious", "adaptive")}
    flagged = {name: rate(~flags(0)) for name in ("flagged_oblivious", "flagged_adaptive")}
    return ThreatResult(norm="linf", eps=eps, undefended=rate(~flags(undefended)), broken=[], **share, **flagged)


SOUND = Observed(
    cells=[cell(0.1, 30, fgsm=10), cell(0.2, 80, fgsm=40), cell(0.4, 190, fgsm=90)],
    budget=0.2,
    is_adversarial=AttackSuccess(
        noise=flags(5), transfer=flags(20), square=flags(70), fgsm=flags(40), pgd=flags(75), white_box=flags(80)
    ),
    unbounded=Unbounded(np.ones(ROWS, dtype=bool)),
    dead=0.0,
    repeats=True,
    logits=True,
    draws=4,
    guard_repeats=False,
)


def failed(observed: Observed) -> list[str]:
    return [check.name for check in gradient_masking_checks(observed) if not check.passed]


def is_adversarial(**counts: int) -> AttackSuccess:
    return replace(SOUND.is_adversarial, **{name: flags(count) for name, count in counts.items()})


def test_sound_figures_pass() -> None:
    assert failed(SOUND) == []
    assert failed(replace(SOUND, is_adversarial=replace(SOUND.is_adversarial, transfer=None))) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"unbounded": Unbounded(flags(180))}, "robust accuracy reaches 0 under an unbounded attack"),
        (
            {"unbounded": Unbounded(flags(180), searched=flags(200))},
            "robust accuracy reaches 0 under an unbounded attack",
        ),
        ({"unbounded": Unbounded(flags(180), searched=flags(180))}, None),
        ({"unbounded": Unbounded(flags(180), searched=flags(184))}, None),
        ({"unbounded": Unbounded(flags(100), searched=flags(90), fixed=("sex",), importance=0.7)}, None),
        ({"cells": [cell(0.1, 90), cell(0.2, 80)]}, "worst-case robust accuracy falls with eps"),
        ({"cells": [cell(0.1, 70, fgsm=60), cell(0.2, 80, fgsm=20)]}, "robust accuracy under FGSM falls with eps"),
        ({"is_adversarial": is_adversarial(pgd=20)}, "iterative attacks are no weaker than single-step"),
        (
            {"is_adversarial": is_adversarial(fgsm=10, pgd=150, white_box=150)},
            "no catastrophic overfitting to a single step",
        ),
        ({"is_adversarial": is_adversarial(fgsm=50, pgd=170, white_box=170)}, None),
        ({"is_adversarial": is_adversarial(square=100)}, "white box is no weaker than square"),
        ({"is_adversarial": is_adversarial(transfer=75)}, None),
        ({"is_adversarial": is_adversarial(square=30, transfer=60)}, "square is no weaker than transfer"),
        ({"is_adversarial": is_adversarial(noise=40)}, "transfer is no weaker than noise"),
        ({"dead": 0.05}, "gradients are neither zero nor NaN"),
        ({"is_adversarial": replace(SOUND.is_adversarial, by_restarts=20)}, "random restarts add little"),
        ({"logits": False}, "outputs are logits"),
        ({"repeats": False}, "randomness is declared"),
        ({"draws": 0}, "randomness is declared"),
        ({"guard_repeats": True}, "randomness is declared"),
    ],
    ids=str,
)
def test_each_check_can_fail(change: dict[str, Any], name: str | None) -> None:
    found = failed(replace(SOUND, **change))
    assert found == ([name] if name else []) or name in found


def test_a_few_rows_more_are_chance_and_no_doubt() -> None:
    assert failed(replace(SOUND, is_adversarial=is_adversarial(square=83))) == []


PARAMS = AttackParams(linf=(0.1, 0.4), l2=(0.5,), points=100, steps=20, restarts=2, eot=1, queries=60)
EPS = Eps(linf=0.4, l2=0.5)


class Undefended(Evaluation):
    """Without the attacker who knows the guard, whom no check looks at."""

    def _adaptive_attacks(self, threat: Threat) -> list[Member]:
        return []


class Honest:
    """A network, and the ways to hide its gradients: one of them at a time, so that the attacks are compiled once."""

    def __init__(self, network: Callable[..., tf.Tensor]) -> None:
        self.network = network
        self.hidden, self.reversed, self.noise = (tf.Variable(start) for start in (False, False, 0.0))

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        # The same answers from inputs rounded so that no gradient comes through.
        x = tf.where(self.hidden, tf.stop_gradient(tf.round(x * 64) / 64) + 0.0 * x, x)
        outputs = self.network(x, training=training)
        # The same answers and a gradient that leads the other way.
        outputs = tf.where(self.reversed, 2.0 * tf.stop_gradient(outputs) - outputs, outputs)
        return outputs + self.noise * tf.random.normal(tf.shape(outputs))


class Judge:
    """Evaluates a network of a task in one of its ways, then runs the checks; compiled once for all the ways."""

    def __init__(self, bundle: tiny.Guarded, network: Callable[..., tf.Tensor], criterion: Criterion) -> None:
        self.bundle, self.criterion, self.network = bundle, criterion, Honest(network)
        rows = tf.TensorSpec((None, *bundle.case.test.x.shape[1:]))
        self.compiled = tf.function(self.network, input_signature=[rows], autograph=False)
        self.shared = SharedNetwork(self.network)

    def __call__(self, hidden: bool = False, reverse: bool = False, noise: float = 0.0) -> list[Check]:
        """The network as it is, or with its gradient hidden or reversed, or with secret noise of a size."""
        for variable, value in zip(
            (self.network.hidden, self.network.reversed, self.network.noise), (hidden, reverse, noise), strict=True
        ):
            variable.assign(value)
        bundle, compiled = self.bundle, self.compiled

        class Itself:
            """Scores by the network, whatever the bundle holds."""

            guard, schema, digest, proves = bundle.model.guard, bundle.model.schema, "d", False
            predict = bundle.model.predict

            def network(self, x: Floats) -> Floats:
                return np.asarray(compiled(x))

        config = EvaluationConfig(PARAMS, EPS, self.criterion, bundle.case.bounds, seed=1)
        evaluator = Evaluator(self.network, Itself(), config, self.shared)  # type: ignore[arg-type]
        work = Undefended(evaluator, bundle.case.test, thorough=False)
        for eps in PARAMS.linf:
            work.run(Threat("linf", eps))
        return diagnose(work, "linf", [])


@pytest.fixture(scope="module")
def judge(bundles: Callable[[str], tiny.Guarded]) -> Callable[[str], Judge]:
    """By the name of a task, on its own network and towards its own aim."""

    def made(task: str) -> Judge:
        case = bundles(task).case
        return Judge(bundles(task), case.network, case.criterion)

    return functools.cache(made)


@pytest.fixture(scope="module")
def bars(trained: Callable[[str], tiny.Case]) -> tiny.Case:
    return trained(tiny.IMAGE)


@pytest.fixture(scope="module")
def bundle(bundles: Callable[[str], tiny.Guarded]) -> tiny.Guarded:
    return bundles(tiny.IMAGE)


@pytest.mark.parametrize(("proven", "trusted"), [(118, True), (110, False)], ids=["all-that-stand", "not-all"])
def test_what_bounds_prove_needs_no_attack_to_be_believed(proven: int, trusted: bool) -> None:
    """80 of 200 rows are lost at the budget; the others are proven to stand, or are not."""
    cells = [replace_cell(each, proven) if each.eps == SOUND.budget else each for each in SOUND.cells]
    masked = replace(SOUND, cells=cells, dead=0.9, unbounded=Unbounded(flags(140), flags(200)))
    wanted = (
        set()
        if trusted
        else {"gradients are neither zero nor NaN", "robust accuracy reaches 0 under an unbounded attack"}
    )
    assert failed_checks(gradient_masking_checks(masked)) == wanted
    assert failed_checks(gradient_masking_checks(replace(masked, repeats=False))) >= {"randomness is declared"}


def replace_cell(cell: ThreatResult, proven: int) -> ThreatResult:
    return cell.model_copy(update={"certified": rate(flags(proven))})


def failed_checks(checks: list[Check]) -> set[str]:
    return {each.name for each in checks if not each.passed}


def test_an_honest_network_is_trusted(judge: Callable[[str], Judge]) -> None:
    assert failed_checks(judge(tiny.IMAGE)()) == set()


def test_catastrophic_overfitting_is_caught(bars: tiny.Case, bundle: tiny.Guarded) -> None:
    """Trained on FGSM alone until one step finds nothing, though many steps break nearly everything."""
    train, eps = tiny.rows(tiny.IMAGE, 4000), EPS.linf
    scaler = fit_scaler(train, bars.schema)
    network = build(Cnn(kind="cnn", filters=(32, 64), units=(128,)), bars.schema, scaler, seed=1)
    problem = AttackProblem(of_network(network), Untargeted(), "linf", PIXELS)
    trainer = Trainer(network, AdversarialObjective(network, [(problem, 1.0)], fgsm()), EpsSchedule(eps, 0), seed=1)
    plan = Plan(epochs=6, batch_size=64, learning_rate=0.005)
    compile_network(trainer, plan, len(train), bars.schema.outputs)
    left = iter(range(plan.epochs, 0, -1))
    fit(trainer, network, train, lambda: {"loss": float(next(left))}, plan)

    def stands(attack: PGD) -> float:
        x_adv = attack(problem, bars.test.x, bars.test.y, eps=eps, seed=0)
        return float((network(x_adv).numpy().argmax(axis=1) == bars.test.y).mean())

    assert stands(fgsm()) > 0.9
    assert stands(PGD(steps=40)) < 0.3
    assert "no catastrophic overfitting to a single step" in failed_checks(Judge(bundle, network, Untargeted())())


def test_shattered_gradients_are_caught(judge: Callable[[str], Judge]) -> None:
    found = failed_checks(judge(tiny.IMAGE)(hidden=True))
    assert {"gradients are neither zero nor NaN", "white box is no weaker than square"} <= found


def test_a_network_that_draws_in_secret_is_caught(judge: Callable[[str], Judge]) -> None:
    assert "randomness is declared" in failed_checks(judge(tiny.IMAGE)(noise=0.01))


FALLS = "robust accuracy reaches 0 under an unbounded attack"


def said(checks: list[Check], name: str) -> str:
    return next(each.found for each in checks if each.name == name)


@pytest.mark.parametrize("task", [tiny.TABLE, tiny.NUMBER])
def test_an_honest_network_of_a_table_with_a_category_is_trusted(judge: Callable[[str], Judge], task: str) -> None:
    checks = judge(task)()
    assert FALLS not in failed_checks(checks)
    assert "; colour cannot change at any eps, with " in said(checks, FALLS)
    assert "% of the permutation importance" in said(checks, FALLS)


@pytest.mark.parametrize(
    ("task", "masked"),
    [(tiny.TABLE, {"hidden": True}), (tiny.TABLE, {"reverse": True}), (tiny.NUMBER, {"hidden": True})],
    ids=str,
)
def test_masked_gradients_are_caught_beside_a_category(
    judge: Callable[[str], Judge], task: str, masked: dict[str, bool]
) -> None:
    assert FALLS in failed_checks(judge(task)(**masked))


def test_a_tolerance_so_wide_that_nothing_breaks_some_rows_is_no_masked_gradient(
    bundles: Callable[[str], tiny.Guarded],
) -> None:
    bundle = bundles(tiny.NUMBER)
    judge = Judge(bundle, bundle.case.network, Tolerance(0.75 * float(np.ptp(bundle.case.test.y))))
    honest = judge()
    assert FALLS not in failed_checks(honest)
    assert "withstand both, even with every mutable feature free" in said(honest, FALLS)
    left = float(said(honest, FALLS).split("free")[0].split("; ")[-1].split(" %")[0])
    assert 5.0 < left < 95.0
    assert FALLS in failed_checks(judge(hidden=True))
