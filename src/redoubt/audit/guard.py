"""The further columns of a bundle: its guarded model against who does not know the guard, and against who does."""

from dataclasses import dataclass

from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.ensemble import Member
from redoubt.audit.budget import Clock
from redoubt.audit.judge import Judge
from redoubt.audit.measure import Cell
from redoubt.audit.plan import STEPS
from redoubt.certify.refute import check_not_refuted
from redoubt.core.types import Batch, Norm
from redoubt.evaluation.attack_columns import WorstCase
from redoubt.evaluation.certification import certified_guarded
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.metrics import Rate, rate
from redoubt.params.settings.sections import AttackParams, Eps

EOT = 4


@dataclass(frozen=True)
class Columns:
    """Of one eps; None where it was not measured."""

    oblivious: Rate | None = None
    adaptive: Rate | None = None
    certified: Rate | None = None


def guarded_columns(judge: Judge, batch: Batch, norm: Norm, cell: Cell, clock: Clock) -> Columns:
    """Measure the guarded model at one eps, by the evaluator of this project's own models.

    Args:
        judge: of a bundle.
        batch: the examples.
        norm: of the perturbations.
        cell: what is known of the network alone.
        clock: the adaptive attacks are left out when it is over.
    """
    target = judge.target
    if target.guarded is None or target.network is None:
        return Columns()
    params = AttackParams.model_construct(
        linf=(), l2=(), steps=STEPS, restarts=1, eot=EOT, queries=0, points=len(batch)
    )
    eps = Eps.model_construct(linf=cell.eps, l2=cell.eps)
    config = EvaluationConfig(params, eps, judge.criterion, judge.bounds, judge.seed)
    evaluator = Evaluator(target.network, target.guarded, config)
    worst = WorstCase(cell.worst.kept, evaluator.is_adversarial_guarded(cell.worst.kept, batch.y))
    oblivious, adaptive = rate(~worst.is_adversarial), None
    if not clock.is_over:
        for member in (
            Member("apgd", APGD(steps=STEPS, eot=EOT, loss="margin", early_stop=False)),
            Member("pgd", PGD(steps=STEPS, eot=EOT, loss="margin"), restart=1),
        ):
            x_adv = worst.attack(evaluator, member, evaluator.adaptive[norm], batch, cell.eps)
            worst.add(member, x_adv, evaluator.is_adversarial_guarded(x_adv, batch.y))
        adaptive = rate(~worst.is_adversarial)
    if norm != "linf" or not target.guarded.proves:
        return Columns(oblivious, adaptive)
    proven = certified_guarded(target.guarded, batch, cell.eps, config.tolerance, judge.seed)
    check_not_refuted("guarded model", proven, worst.is_adversarial, f"what an attack found within L-inf {cell.eps:g}")
    return Columns(oblivious, adaptive, rate(proven))
