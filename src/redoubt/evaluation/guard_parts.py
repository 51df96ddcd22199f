"""What each part of a guard is worth: unperturbed, against who does not know it, and against who does."""

from redoubt.attacks.apgd import APGD
from redoubt.attacks.contract import Attack, Problem
from redoubt.attacks.gradient import PGD
from redoubt.defenses.parts import Part, parts
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.robustness import Worst
from redoubt.evaluation.subject import Subject, majority
from redoubt.evaluation.verdict import PartCell
from redoubt.params.base import Norm
from redoubt.types import Batch, Floats


def measure_parts(subject: Subject, batch: Batch, oblivious: Floats, norm: Norm) -> list[PartCell]:
    """Judge the parts at a norm's budget.

    Args:
        subject: the guarded model.
        batch: unperturbed rows.
        oblivious: perturbations of them, made for the network alone.
        norm: in which they are measured.
    """
    return [_measure(subject, batch, oblivious, norm, part) for part in parts(subject.guarded.guard)]


def _measure(subject: Subject, batch: Batch, oblivious: Floats, norm: Norm, part: Part) -> PartCell:
    params, y = subject.setting.params, batch.y
    before = subject.answers(batch.x)
    refused = majority([part.refused(each) for each in before])
    worst = Worst(oblivious, subject.lost_part(part, subject.answers(oblivious), y))
    known = rate(~worst.lost)
    for attack, problem in _attackers(subject, part, norm):
        for start in range(max(params.restarts - 1, 1) if part.detects else 1):
            moved = worst.attack(subject, attack, problem, batch, subject.setting.eps.of(norm), start)
            worst.add(problem.name, moved, subject.lost_part(part, subject.answers(moved), y))
    clean = ~subject.lost_part(part, before, y) & ~refused
    return PartCell(part=part.name, clean=rate(clean), oblivious=known, adaptive=rate(~worst.lost))


def _attackers(subject: Subject, part: Part, norm: Norm) -> list[tuple[Attack, Problem]]:
    """Who knows the part, each with what it looks through.

    A detector is evaded in two ways (arXiv 2106.15023, 2002.08347): the answer is made wrong and then, without giving
    that up, the score brought down; or all variants are driven to the same wrong answer, which leaves nothing to flag.
    """
    params, through = subject.setting.params, subject.through(part, norm)
    random = not set(part.variants) <= set(subject.guarded.guard.fixed_variants)
    steps, eot = params.steps, params.eot if random else 1
    attackers: list[tuple[Attack, Problem]] = [
        (PGD(steps=steps, eot=eot, stop_when_won=part.detects), through),
        (APGD(steps=steps, eot=eot, loss="margin", stop_when_won=not random), through),
    ]
    if part.detects:
        attackers.append((PGD(steps=steps, eot=params.eot, loss="margin"), subject.knowing[norm]))
    return attackers
