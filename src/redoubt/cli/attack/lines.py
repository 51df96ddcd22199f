"""What a network answers along straight lines from its inputs: chance, the gradient and PGD as directions."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax
from tqdm import tqdm

from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.cli.attack.findings import Findings
from redoubt.cli.attack.job import Job
from redoubt.cli.words import AskedError
from redoubt.core.types import Batch, Floats
from redoubt.evaluation.metrics import rate
from redoubt.report import attack_figures
from redoubt.scenarios.landscape import Walk, along, direction_toward, gradient_direction, random_direction

POINTS = 41
# One example's walks, by the name of the direction.
Walks = dict[str, Walk]


def landscape(job: Job) -> Findings:
    """Walk from every example to eps in three directions; one example's answers are drawn, and the margins of all.

    Raises:
        AskedError: eps is 0, so that there is no way to go.
    """
    if not job.eps > 0:
        raise AskedError(f"--eps is {job.eps:g}; landscape walks as far as eps: give one above 0")
    job = job.narrowed()
    criterion, y = job.aim()
    problem, far = job.problem(criterion), np.linspace(0.0, job.eps, POINTS, dtype=np.float32)
    walks: list[Walks] = []
    with tqdm(total=len(y), desc=job.entry.name, unit="example") as bar:
        x_adv = PGD(steps=job.options["steps"])(problem, job.batch.x, y, eps=job.eps, seed=job.seed)
        for row in range(len(y)):
            ways = _directions(problem, Batch(job.batch.x, y), x_adv, row, job.seed)
            walks.append({name: along(problem, job.batch.x[row], y[row], way, far) for name, way in ways})
            bar.update()
    margins = {
        name: np.array([walk[name].margin for walk in walks if name in walk]) for name in ("random", "gradient", "pgd")
    }
    margins = {name: each for name, each in margins.items() if len(each)}
    found = {"examples": len(y), "along": {name: _along(each, far) for name, each in margins.items()}}
    arrays = {"distances": far, **{f"margin_{name}": each for name, each in margins.items()}}
    return Findings(found, _picture(job, walks, margins, far), arrays)


def _directions(
    problem: AttackProblem, rows: Batch, x_adv: Floats, row: int, seed: int
) -> Iterator[tuple[str, Floats]]:
    """Of unit length, by name; where there is none, because all is flat or the attack moved nothing, none is given."""
    x, y = rows.x[row], rows.y[row]
    yield "random", random_direction(problem, x, seed + 7919 * row)
    with suppress(ValueError):
        yield "gradient", gradient_direction(problem, x, y, seed)
    with suppress(ValueError):
        yield "pgd", direction_toward(problem, x, x_adv[row])


def _along(margins: Floats, far: Floats) -> dict[str, object]:
    """Where the walk turns adversarial, of the examples that are not from the start; the margin is above 0 there."""
    still = margins[:, 0] <= 0
    found: dict[str, object] = {
        "margin_at_the_start": round(float(np.mean(margins[:, 0])), 6),
        "margin_at_eps": round(float(np.mean(margins[:, -1])), 6),
    }
    if still.any():
        adversarial = margins[still] > 0
        flipped = np.any(adversarial, axis=1)
        found["flipped"] = rate(flipped)
        if flipped.any():
            found["flipped_at"] = {"median": round(float(np.median(far[adversarial[flipped].argmax(axis=1)])), 6)}
    return found


def _picture(job: Job, walks: list[Walks], margins: dict[str, Floats], far: Floats) -> Figure:
    """Of the first example that PGD flips, else of the first."""
    flipped = (
        i for i, walk in enumerate(walks) if "pgd" in walk and walk["pgd"].margin[0] <= 0 < walk["pgd"].margin[-1]
    )
    row = next(flipped, 0)
    labels = job.target.labels
    shown = {
        name: {
            "distances": walk.distances,
            "loss": walk.loss,
            "answers": softmax(walk.outputs, axis=1) if job.target.is_classification else walk.outputs,
        }
        for name, walk in walks[row].items()
    }
    truth = job.name(job.batch.y[row : row + 1], walks[row]["random"].outputs[:1])[0][0]
    unit = {"linf": "L-inf distance", "l2": "L2 distance"}[job.norm]
    return attack_figures.landscape(shown, margins, labels, unit, f"example {row}, true {truth}")
