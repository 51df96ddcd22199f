"""An attack with one perturbation per example, batch by batch, so that an interrupted one keeps what it has."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackError, AttackProblem
from redoubt.attacks.ensemble import Ensemble
from redoubt.attacks.query import OracleError, QueryAttack
from redoubt.attacks.whole_steps import WholeSteps, hides_in_rounding
from redoubt.bundle.batches import slices
from redoubt.cli.attack.findings import Findings
from redoubt.cli.attack.job import Job
from redoubt.core.types import Batch, Floats, Ints
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.redraws import majority, redraws
from redoubt.report.examples import changes, is_picture, perturbed
from redoubt.scenarios.physical import Physical, survival_rate
from redoubt.scenarios.transfer import ensemble_outputs

ROWS = 32
DRAWS = 10
Flags = NDArray[np.bool_]


@dataclass(eq=False)
class Done:
    """How far the attack has come; arrays of all examples.

    Attributes:
        x_adv: perturbed inputs, the input itself where there is none yet.
        before: answers to the inputs.
        after: answers to the perturbed inputs.
        queries: answers each example took; 0 if nobody counts.
        rows: the first so many are finished.
        stopped: why it broke off, if it did.
    """

    x_adv: Floats
    before: Floats
    after: Floats
    queries: Ints
    rows: int = 0
    stopped: str | None = None


def plain(job: Job, attack: Attack) -> Findings:
    """Attack every example and measure robust accuracy.

    Args:
        job: what is asked.
        attack: the entry's.

    Raises:
        AskedError: it cannot be aimed as asked.
        AttackError: it broke off before anything was done.
    """
    (criterion, y), counted = job.aim(), job.counted
    judge = job.problem(criterion)
    maker = job.problem(criterion, ensemble_outputs(list(job.proxies.values()))) if job.proxies else judge
    done = _run(attack, maker, judge, job, y)
    finished = np.arange(len(y)) < done.rows
    rows = np.flatnonzero(finished & counted)
    found: dict[str, Any] = {"examples": 0, "queries": int(done.queries.sum())}
    if len(rows):
        found = _measure(job, judge, y, done, rows)
    if isinstance(attack, Physical) and len(rows):
        found["survival"] = _survival(job, judge, attack, done.x_adv[rows], Batch(job.batch.x[rows], y[rows]))
    arrays = {"x": job.batch.x, "y": job.batch.y, "x_adv": done.x_adv, "finished": finished}
    picture = _picture(job, done, rows) if len(rows) else None
    return Findings({"attack": repr(attack), **found}, picture, arrays, done.stopped)


def _run(attack: Attack, maker: AttackProblem, judge: AttackProblem, job: Job, y: NDArray[Any]) -> Done:
    x, width = job.batch.x, job.target.width
    empty = np.zeros((len(x), width), np.float32)
    done = Done(x.copy(), empty, empty.copy(), np.zeros(len(x), np.int64))
    with tqdm(total=len(x), desc=job.entry.name, unit="example") as bar:
        try:
            for part in slices(len(x), ROWS):
                _attack(attack, maker, job, y, part, done)
                done.before[part], done.after[part] = judge.predict(x[part]), judge.predict(done.x_adv[part])
                _check_finite(done.after[part], part.start)
                done.rows = part.stop
                bar.update(part.stop - part.start)
        except (KeyboardInterrupt, AttackError) as error:
            if not done.rows and not done.queries.any():
                raise
            done.stopped = str(error) or "interrupted"
    return done


def _check_finite(answers: Floats, first: int) -> None:
    """Refuse to judge a perturbed input that the model has no finite answer for: argmax would take the first class.

    Raises:
        AttackError: names the first such example.
    """
    finite = np.isfinite(answers).all(axis=1)
    if not finite.all():
        raise AttackError(
            f"the model outputs NaN or infinity for the adversarial example {first + int(finite.argmin())}, which is no"
            " class or value: correct the model"
        )


def _attack(attack: Attack, maker: AttackProblem, job: Job, y: NDArray[Any], part: slice, done: Done) -> None:
    x, seed = job.batch.x[part], job.seed + 7919 * part.start
    if not isinstance(attack, QueryAttack):
        x_adv = attack(maker, x, y[part], eps=job.eps, seed=seed)
        done.x_adv[part] = (
            _in_whole_steps(maker, x, y[part], x_adv, job, seed) if isinstance(attack, Ensemble) else x_adv
        )
        return
    try:
        queried = attack.count(maker, x, y[part], eps=job.eps, seed=seed)
    except OracleError as error:
        if error.so_far is not None:
            done.x_adv[part], done.queries[part] = error.so_far.x_adv, error.so_far.queries
        raise
    done.x_adv[part], done.queries[part] = queried.x_adv, queried.queries


def _in_whole_steps(problem: AttackProblem, x: Floats, y: NDArray[Any], x_adv: Floats, job: Job, seed: int) -> Floats:
    """The worst case also over single whole numbers and listed values, where rounding takes back a gradient's step."""
    if not hides_in_rounding(problem.bounds, problem.norm):
        return x_adv
    left = np.flatnonzero(~problem.criterion.is_adversarial(problem.predict(x_adv, seed), y))
    if len(left):
        x_adv[left] = WholeSteps()(problem, x[left], y[left], eps=job.eps, seed=seed)
    return x_adv


def _measure(job: Job, judge: AttackProblem, y: NDArray[Any], done: Done, rows: Ints) -> dict[str, Any]:
    x, x_adv = job.batch.x[rows], done.x_adv[rows]
    right = ~job.criterion.is_adversarial(done.before[rows], job.batch.y[rows])
    adversarial = judge.criterion.is_adversarial(done.after[rows], y[rows])
    found: dict[str, Any] = {
        "examples": len(rows),
        "clean_accuracy": rate(right),
        "robust_accuracy": rate(~adversarial),
    }
    if job.target.guarded is not None:
        found["guarded"] = _guarded(job, judge, y[rows], x_adv)
    if adversarial.any():
        far = distance(x_adv - x, job.norm, job.bounds)[adversarial]
        found["adversarial_distance"] = {"mean": round(float(far.mean()), 6), "median": round(float(np.median(far)), 6)}
    if done.queries.any():
        spent = done.queries[rows]
        found["queries_per_row"] = {"mean": round(float(spent.mean()), 2), "median": float(np.median(spent))}
        found["queries"] = int(done.queries.sum())
    return found


def _guarded(job: Job, judge: AttackProblem, y: NDArray[Any], x_adv: Floats) -> dict[str, Any]:
    """The guarded model on the same examples; a flag alone saves no example."""
    guarded = job.target.guarded
    if guarded is None:
        return {}
    draws = [guarded.predict(x_adv, rng) for rng in redraws(job.seed)]
    is_adversarial = majority([judge.criterion.is_adversarial(answers.vote, y) for answers in draws])
    return {"robust_accuracy": rate(~is_adversarial), "flagged": rate(majority([answers.flagged for answers in draws]))}


def _survival(job: Job, judge: AttackProblem, attack: Physical, x_adv: Floats, batch: Batch) -> dict[str, Any]:
    """Beside those of a digital attack of the same size and steps."""
    digital = PGD(steps=attack.steps)(judge, batch.x, batch.y, eps=job.eps, seed=job.seed)
    each = {"physical": x_adv, "pgd": digital}
    shares = {
        name: survival_rate(judge, batch.x, pictures, batch.y, attack.transformations, draws=DRAWS, seed=job.seed + 1)
        for name, pictures in each.items()
    }
    return {
        name: {"digital": s.digital, "photographed": s.photographed, "clean": s.clean} for name, s in shares.items()
    }


def _picture(job: Job, done: Done, rows: Ints) -> Figure:
    x, x_adv = job.batch.x[rows], done.x_adv[rows]
    if not is_picture(x.shape[1:]):
        names = job.target.inputs or [f"input {place}" for place in range(int(np.prod(x.shape[1:])))]
        return changes(x, x_adv, job.bounds, names)
    truth, answers = job.name(job.batch.y[rows], done.after[rows])
    return perturbed(x, x_adv, truth, answers, job.bounds)
