"""Attacks whose aim is not one perturbation per example: each is learned in its own way and measured in its own."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_network
from redoubt.cli.attack.findings import Findings
from redoubt.cli.attack.job import Job, halves
from redoubt.cli.attack.lengths import same_lengths
from redoubt.cli.attack.lines import landscape
from redoubt.cli.attack.matrix import matrix
from redoubt.cli.words import AskedError
from redoubt.core.types import Batch, Floats
from redoubt.evaluation.metrics import rate
from redoubt.report import attack_figures
from redoubt.report.examples import SHOWN, as_pictures, falling, is_picture
from redoubt.scenarios.minimal_eps import attacks, minimal_eps
from redoubt.scenarios.patch import PatchLearning, fooling_rate
from redoubt.scenarios.reprogramming import Board, Reprogram, make_boards
from redoubt.scenarios.substitute import Point, Substitute, success_curve
from redoubt.scenarios.universal import Universal, apply, fooled, random_delta

# A patch's places per image, first inputs of a substitute and its layers' width, precision as a share of eps.
PLACES, FIRST, WIDTH, PRECISION = 5, 32, 200, 0.02


def universal(job: Job) -> Findings:
    """Learn on every other example, measure on the rest, beside random noise of the same size."""
    problem, (learn, test) = job.problem(), halves(job.batch)
    epochs = math.ceil(job.options["steps"] * Universal.batch_size / len(learn))
    with tqdm(total=math.ceil(epochs * len(learn) / Universal.batch_size), desc=job.entry.name, unit="step") as bar:
        delta = Universal(epochs=epochs).fit(problem, learn.x, learn.y, eps=job.eps, seed=job.seed, bar=bar)
    noise = random_delta(problem, delta.shape, eps=job.eps, seed=job.seed)
    found = {
        "examples": {"trained_on": len(learn), "measured_on": len(test)},
        "fooled": rate(fooled(problem, test.x, delta, eps=job.eps, seed=job.seed)),
        "fooled_by_random_noise": rate(fooled(problem, test.x, noise, eps=job.eps, seed=job.seed)),
    }
    picture = None
    if is_picture(test.x.shape[1:]):
        some, change = test.take(np.arange(min(SHOWN, len(test)))), delta[..., None] if delta.ndim == 2 else delta
        x_adv = apply(some.x, delta, problem.bounds)
        truth, answers = job.name(some.y, problem.predict(x_adv))
        picture = attack_figures.universal(
            change / float(np.max(problem.bounds.upper - problem.bounds.lower)),
            {"adversarial": (as_pictures(x_adv, problem.bounds), answers)},
            truth,
        )
    return Findings(found, picture, {"perturbation": delta})


def patch(job: Job) -> Findings:
    """Learn a patch of about a third of the image's side on every other example, measure on the rest."""
    job = job.narrowed()
    criterion, y = job.aim()
    problem, (learn, test) = job.problem(criterion), halves(Batch(job.batch.x, y))
    side = max(2, round(0.35 * min(job.batch.x.shape[1:3]))) if job.batch.x.ndim == 4 else 1
    with tqdm(total=job.options["steps"], desc=job.entry.name, unit="step") as bar:
        learning = PatchLearning(side=side, steps=job.options["steps"])
        sticker = learning(problem, learn.x, learn.y, seed=job.seed, bar=bar)
    success_rate = fooling_rate(problem, sticker, test.x, test.y, places=PLACES, seed=job.seed + 1)
    found = {
        "examples": {"trained_on": len(learn), "measured_on": len(test)},
        "side": side,
        "success_rate": {
            "with_the_patch": success_rate.patch,
            "with_a_patch_of_noise": success_rate.noise,
            "without": success_rate.clean,
        },
    }
    some = slice(1, 2 * SHOWN, 2)
    stuck = sticker.apply(job.batch.x[some], np.random.default_rng(job.seed))
    truth, answers = job.name(job.batch.y[some], problem.predict(stuck))
    rows = {"adversarial": (as_pictures(stuck, problem.bounds), answers)}
    picture = attack_figures.sticker(as_pictures(sticker.pixels[None], problem.bounds)[0], rows, truth)
    return Findings(found, picture, {"sticker": sticker.pixels})


def reprogram(job: Job) -> Findings:
    """Make the network count squares; the same is done to an untrained copy, to see what its training is worth."""
    network, bounds = job.target.network, job.target.bounds
    pixels = float(np.min(bounds.lower)) == 0.0 and float(np.max(bounds.upper)) == 1.0
    if network is None or not job.target.is_classification or not pixels:
        raise AskedError(
            f"reprogram needs an image classifier with pixels in [0, 1]; {job.target.said} has other outputs or inputs"
        )
    board = Board(most=min(10, len(job.target.labels)))
    attack = Reprogram(steps=job.options["steps"])
    with tqdm(total=2 * attack.steps, desc=job.entry.name, unit="step") as bar:
        done = attack(network, board, seed=job.seed, bar=bar)
        keras.utils.set_random_seed(job.seed)
        untrained = attack(keras.models.clone_model(network), board, seed=job.seed, bar=bar)
    found = {
        "boards": f"1 to {board.most} squares on {board.cells} x {board.cells} cells",
        "classes_for_the_counts": ", ".join(job.target.labels[place] for place in done.classes),
        "accuracy": {"network": done.accuracy, "untrained": untrained.accuracy, "guessing": done.chance},
    }
    boards = make_boards(np.random.default_rng([job.seed, 1]), SHOWN, board, done.frame.shape)
    answers = AttackProblem(of_network(network), Untargeted(), "linf", bounds).predict(boards.x + done.frame)
    # A class that stands for no count is none.
    meaning = {int(name): str(place + 1) for place, name in enumerate(done.classes)}
    counts = [meaning.get(place, "-") for place in answers.argmax(axis=1).tolist()]
    truth = [str(count + 1) for count in boards.y]
    picture = attack_figures.reprogramming(done.frame, boards.x, boards.x + done.frame, counts, truth)
    return Findings(found, picture, {"frame": done.frame, "classes": done.classes, "history": done.history})


def minimal(job: Job) -> Findings:
    """The smallest eps at which PGD wins, per example; the eps given is the largest that is tried."""
    job = job.narrowed()
    criterion, y = job.aim()
    attack, precision = PGD(steps=job.options["steps"], early_stop=True), PRECISION * job.eps
    if not job.eps > 0:
        raise AskedError(f"--eps is {job.eps:g}; minimal searches from 0 up to eps: give one above 0")
    problem, rows = job.problem(criterion), Batch(job.batch.x, y)
    with tqdm(total=len(y) * attacks(job.eps, precision), desc=job.entry.name, unit="example") as bar:
        eps = minimal_eps(attack, problem, rows, largest=job.eps, tolerance=precision, seed=job.seed, bar=bar)
    found: dict[str, Any] = {
        "examples": len(eps),
        "robust_at_the_largest_eps": rate(~np.isfinite(eps)),
        "precision": precision,
    }
    if np.isfinite(eps).any():
        known = eps[np.isfinite(eps)]
        found["adversarial_eps"] = {"mean": float(known.mean()), "median": float(np.median(known))}
    return Findings(found, falling(eps, job.eps), {"eps": eps})


def substitute(job: Job) -> Findings:
    """Grow a copy from the target's predictions on a few unlabelled examples; try FGSM on it against the target.

    Raises:
        AskedError: the target answers a number.
    """
    if not job.target.is_classification:
        raise AskedError("substitute is for classifiers; the target is a regressor: use square")
    judge, (own, test) = job.problem(), halves(job.batch)
    points: list[Point] = []
    network, stopped = _student(job, own.x), None
    copy = AttackProblem(of_network(network), Untargeted(), job.norm, job.bounds, "substitute")
    with tqdm(total=job.options["queries"], desc="substitute", unit="query") as bar:
        attack = Substitute(budget=job.options["queries"])
        rounds = attack.rounds(judge.predict, network, own.x[:FIRST], job.bounds, seed=job.seed, bar=bar)
        try:
            for point in success_curve(rounds, copy, judge.predict, fgsm(), test, eps=job.eps, seed=job.seed):
                points.append(point)
        except KeyboardInterrupt:
            stopped = "interrupted"
        except AttackError as error:
            if not points:
                raise
            stopped = str(error)
    return _grown(job, points, stopped)


def _grown(job: Job, points: list[Point], stopped: str | None) -> Findings:
    if not points:
        return Findings({"queries": 0}, stopped=stopped)
    curve = {name: [getattr(point, name) for point in points] for name in ("queries", "agreement", "success_rate")}
    found = {"examples": len(halves(job.batch)[1]), **{name: values[-1] for name, values in curve.items()}}
    picture = attack_figures.queries({name: (curve["queries"], curve[name]) for name in ("success_rate", "agreement")})
    return Findings(found, picture, {name: np.array(values) for name, values in curve.items()}, stopped)


def _student(job: Job, x: Floats) -> keras.Model:
    """What an attacker takes who knows the shape of inputs, their spread and the number of classes."""
    keras.utils.set_random_seed(job.seed)
    flat = x.reshape(len(x), -1)
    variance = np.where(flat.std(axis=0) > 0, flat.var(axis=0), 1.0)
    layers = [keras.layers.Dense(WIDTH, activation="relu") for _ in range(2)]
    centred = keras.layers.Normalization(mean=flat.mean(axis=0).tolist(), variance=variance.tolist())
    last = keras.layers.Dense(len(job.target.labels))
    return keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Flatten(), centred, *layers, last])


LEARNED: Mapping[str, Callable[[Job], Findings]] = {
    "minimal": minimal,
    "landscape": landscape,
    "same-length": same_lengths,
    "transfer-matrix": matrix,
    "substitute": substitute,
    "universal": universal,
    "patch": patch,
    "reprogram": reprogram,
}
