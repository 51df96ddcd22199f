"""What each part of a guard is worth: unperturbed, against who does not know it, and against who does."""

import numpy as np

from redoubt.attacks.gradient import PGD
from redoubt.defenses.parts import Part, parts
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.subject import Subject, majority
from redoubt.evaluation.verdict import PartCell
from redoubt.params import Norm
from redoubt.tasks import Batch, Floats


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
    lost = subject.lost_part(part, subject.answers(oblivious), y)
    moved, standing = oblivious.copy(), np.flatnonzero(~lost)
    if len(standing):
        attack = PGD(steps=params.steps, eot=params.eot, stop_when_won=part.detects)
        problem, eps = subject.through(part, norm), params.budget.of(norm)
        moved[standing] = subject.attack(attack, problem, batch.take(standing), eps)
    adaptive = lost | subject.lost_part(part, subject.answers(moved), y)
    clean = ~subject.lost_part(part, before, y) & ~refused
    return PartCell(part=part.name, clean=rate(clean), oblivious=rate(~lost), adaptive=rate(~adaptive))
