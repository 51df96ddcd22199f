"""A sweep that adapts: trials from declared ranges by a tree-structured Parzen estimator, in batches of a fixed size.

The estimator (TPE) is Optuna's (arXiv 1907.10902; Bergstra et al., NeurIPS 2011). What it draws depends on the seed and
on the batches before, not on how many processes work on a batch or on which of its trials ends first.
"""

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from redoubt.params.settings.search import Ranges, SearchParams, network
from redoubt.training.sweep import Curve, Point, score

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

# Trials that are drawn together, whatever the number of cores: none of them knows how the others end.
BATCH = 4
# Of trials before the estimator draws: one of each depth, and as many at random.
AT_RANDOM = 8
STUDY = "sweep"
# Trains points fold by fold, and stops each where the mean loss of its folds so far is above that fold's limit.
Train = Callable[[Sequence[Point], Sequence[float]], list[list[Curve]]]


@dataclass(frozen=True)
class Tried:
    """What was trained: a point of a grid, or of a trial.

    Attributes:
        curves: a learning curve for each fold until it was stopped.
        trial: its number; None of a grid.
    """

    point: Point
    curves: list[Curve]
    trial: int | None = None


def search(params: SearchParams, folds: int, seed: int, journal: Path, train: Train) -> list[Tried]:
    """Draw and train all trials, batch after batch.

    Args:
        params: how many trials, and their ranges.
        folds: of the cross-validation.
        seed: of the draws.
        journal: file of Optuna's journal storage; whole batches in it are not drawn again.
        train: see `Train`; remembers folds itself, so that those of a batch that was cut short are not lost.

    Returns:
        The trials in the order of their numbers.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, tried = _opened(journal), list[Tried]()
    known = study.get_trials(deepcopy=False)
    if not known:
        _begin(study, params)
    for first in range(0, params.trials, BATCH):
        count, limits = min(BATCH, params.trials - first), _limits(tried, folds)
        if known[first:]:
            points = [_point(each.params) for each in known[first : first + count]]
        else:
            asked = _ask(study, params.ranges, count, seed + first)
            points = [_point(each.params) for each in asked]
        numbers = range(first, first + count)
        batch = [Tried(*each) for each in zip(points, train(points, limits), numbers, strict=True)]
        if not known[first:]:
            for trial, each in zip(asked, batch, strict=True):
                _tell(study, trial, each, folds)
        tried += batch
    return tried


def totals(tried: Sequence[Tried], folds: int) -> list[float]:
    """The `score` of each; infinite of one that was stopped."""
    return [score(each.curves) if len(each.curves) == folds else math.inf for each in tried]


def _opened(journal: Path) -> "Study":
    """The study with its whole batches: one that was cut short is drawn anew, as it was drawn before."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    # What a killed process left: its lock (no other one writes here), and half a line.
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    with journal.open("a+b") as lines:
        lines.seek(0)
        lines.truncate(lines.read().rfind(b"\n") + 1)
    try:
        study = _study(journal)
    except (ValueError, KeyError) as error:
        print(f"'{journal}' is damaged ({error}): discarded, and what it held is computed again", file=sys.stderr)
        journal.unlink()
        study = _study(journal)
    trials = study.get_trials()
    whole = trials[: next((place for place, each in enumerate(trials) if not each.state.is_finished()), len(trials))]
    whole = whole[: len(whole) // BATCH * BATCH]
    if len(whole) == len(trials):
        return study
    journal.unlink()
    study = _study(journal)
    study.add_trials(whole)
    return study


def _study(journal: Path) -> "Study":
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True)


def _begin(study: "Study", params: SearchParams) -> None:
    """Put one trial of each depth first, with all else in the middle and without dropout: what people try by hand."""
    ranges = params.ranges
    low, high = ranges.depth
    for depth in range(low, high + 1)[: min(BATCH, params.trials)]:
        study.enqueue_trial(
            {
                "width": round(math.sqrt(math.prod(ranges.width))),
                "depth": depth,
                "dropout": ranges.dropout[0],
                "batch_size": round(math.sqrt(math.prod(ranges.batch_size))),
                "learning_rate": math.sqrt(math.prod(ranges.learning_rate)),
            }
        )


def _ask(study: "Study", ranges: Ranges, count: int, seed: int) -> "list[Trial]":
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A sampler for each batch, so that a study that is opened again draws what it would have drawn.
        study.sampler = TPESampler(n_startup_trials=AT_RANDOM, multivariate=True, constant_liar=True, seed=seed)
        return [study.ask(_distributions(ranges)) for _ in range(count)]


def _distributions(ranges: Ranges) -> "dict[str, BaseDistribution]":
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "width": IntDistribution(*ranges.width, log=True),
        "depth": IntDistribution(*ranges.depth),
        "dropout": FloatDistribution(*ranges.dropout),
        "batch_size": IntDistribution(*ranges.batch_size, log=True),
        "learning_rate": FloatDistribution(*ranges.learning_rate, log=True),
    }


def _point(params: dict[str, Any]) -> Point:
    """Rounded, so that what is shown of a point is what was trained."""
    model = network(params["width"], params["depth"], round(params["dropout"], 2))
    return Point(model, params["batch_size"], float(f"{params['learning_rate']:.2g}"))


def _losses(curves: Sequence[Curve]) -> list[float]:
    """Mean loss of the first fold, of the first two, and so on."""
    return [score(curves[: count + 1]) for count in range(len(curves))]


def _limits(tried: Sequence[Tried], folds: int) -> list[float]:
    """By fold the median of the trials that went through all folds: one that is above it will hardly be the best."""
    whole = [_losses(each.curves) for each in tried if len(each.curves) == folds]
    return [float(limit) for limit in np.median(whole, axis=0)] if whole else [math.inf] * folds


def _tell(study: "Study", trial: "Trial", tried: Tried, folds: int) -> None:
    from optuna.trial import TrialState

    losses = _losses(tried.curves)
    for fold, loss in enumerate(losses):
        trial.report(loss, fold)
    if len(losses) == folds:
        study.tell(trial, losses[-1])
    else:
        study.tell(trial, state=TrialState.PRUNED)
