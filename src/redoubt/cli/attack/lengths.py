"""One L2 length spread over all pixels, or put into a corner: why the eye's measure is L-inf."""

import numpy as np

from redoubt.cli.attack.findings import Findings
from redoubt.cli.attack.job import Job
from redoubt.cli.words import AskedError
from redoubt.core.types import Floats
from redoubt.evaluation.metrics import rate
from redoubt.report import attack_figures
from redoubt.report.examples import as_pictures, is_picture
from redoubt.scenarios.course_attack import SameLength, same_length

CHANGES = ("spread", "local")


def same_lengths(job: Job) -> Findings:
    """Change every image twice by L2 length eps; the first is drawn.

    Raises:
        AskedError: the examples are no images, or have no change of that length.
    """
    x, y, problem = job.batch.x, job.batch.y, job.problem()
    if not is_picture(x.shape[1:]):
        raise AskedError(f"same-length needs images; {job.target.said} takes inputs of shape {x.shape[1:]}")
    pairs = [_pair(job, picture) for picture in x]
    x_adv = {name: np.stack([getattr(pair, name) for pair in pairs]).reshape(x.shape) for name in CHANGES}
    answers = {"original": problem.predict(x), **{name: problem.predict(changed) for name, changed in x_adv.items()}}
    is_robust = {name: ~job.criterion.is_adversarial(answer, y) for name, answer in answers.items()}
    found = {"examples": len(x), "clean_accuracy": rate(is_robust["original"])}
    for name in CHANGES:
        l2, linf = (float(np.mean([getattr(pair, norm)[name] for pair in pairs])) for norm in ("l2", "linf"))
        found[name] = {"l2": round(l2, 6), "linf": round(linf, 6), "robust_accuracy": rate(is_robust[name])}
    first = {name: job.name(y[:1], answer[:1]) for name, answer in answers.items()}
    picture = attack_figures.same_length(
        as_pictures(x[:1], job.bounds)[0],
        {name: as_pictures(changed[:1], job.bounds)[0] for name, changed in x_adv.items()},
        pairs[0].l2,
        pairs[0].linf,
        {name: (answered[0], bool(is_robust[name][0])) for name, (_, answered) in first.items()},
    )
    return Findings(found, picture, {"x": x, "y": y, **x_adv})


def _pair(job: Job, picture: Floats) -> SameLength:
    try:
        return same_length(picture if picture.ndim == 3 else picture[..., None], job.eps, job.bounds)
    except ValueError as error:
        raise AskedError(f"--eps is the L2 length of the change here: {error}") from None
