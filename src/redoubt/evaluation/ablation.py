"""What each part of a guard is worth: unperturbed, against who does not know it, and against who does."""

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.attacks.ensemble import Member
from redoubt.core.types import Batch, Floats, Norm
from redoubt.defenses.components import Component, components
from redoubt.evaluation.attack_columns import WorstCase
from redoubt.evaluation.evaluator import Evaluator
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.redraws import majority
from redoubt.evaluation.results import ComponentResult


def ablate_guard(evaluator: Evaluator, batch: Batch, oblivious: Floats, norm: Norm) -> list[ComponentResult]:
    """Judge the parts at a norm's budget.

    Args:
        evaluator: the guarded model.
        batch: unperturbed examples.
        oblivious: perturbations of them, made for the network alone.
        norm: in which they are measured.
    """
    return [_measure(evaluator, batch, oblivious, norm, component) for component in components(evaluator.guarded.guard)]


def _measure(
    evaluator: Evaluator, batch: Batch, oblivious: Floats, norm: Norm, component: Component
) -> ComponentResult:
    params, y = evaluator.config.params, batch.y
    before = evaluator.predict(batch.x)
    refused = majority([component.refused(each) for each in before])
    worst = WorstCase(oblivious, evaluator.is_adversarial_component(component, evaluator.predict(oblivious), y))
    known = rate(~worst.is_adversarial)
    for attack, problem in _attackers(evaluator, component, norm):
        for start in range(max(params.restarts - 1, 1) if component.detects else 1):
            member = Member(problem.name, attack, restart=start)
            x_adv = worst.attack(evaluator, member, problem, batch, evaluator.config.eps.of(norm))
            worst.add(member, x_adv, evaluator.is_adversarial_component(component, evaluator.predict(x_adv), y))
    clean = ~evaluator.is_adversarial_component(component, before, y) & ~refused
    return ComponentResult(
        component=component.name, clean=rate(clean), oblivious=known, adaptive=rate(~worst.is_adversarial)
    )


def _attackers(evaluator: Evaluator, component: Component, norm: Norm) -> list[tuple[Attack, AttackProblem]]:
    """Who knows the part, each with what it looks through.

    A detector is evaded in two ways (arXiv 2106.15023, 2002.08347): the prediction is made wrong and then, without
    giving that up, the score brought down; or all variants are driven to the same wrong class, which leaves nothing to
    flag.
    """
    params, through = evaluator.config.params, evaluator.component_problem(component, norm)
    random = not set(component.variants) <= set(evaluator.guarded.guard.fixed_variants)
    steps, eot = params.steps, params.eot if random else 1
    attackers: list[tuple[Attack, AttackProblem]] = [
        (PGD(steps=steps, eot=eot, early_stop=component.detects), through),
        (APGD(steps=steps, eot=eot, loss="margin", early_stop=not random), through),
    ]
    if component.detects:
        attackers.append((PGD(steps=steps, eot=params.eot, loss="margin"), evaluator.adaptive[norm]))
    return attackers
