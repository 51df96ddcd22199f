"""What single stages keep and hand on: checkpoints, records, jobs for other processes."""

import pickle
from pathlib import Path

import numpy as np

from pipelines import attack, sweep
from pipelines._data import TaskData, load_data
from pipelines._training import checkpoint
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.results import NORMS
from redoubt.params.resolve import settings
from redoubt.params.settings.networks import Linear, Mlp
from redoubt.params.settings.stages import AttackSettings
from redoubt.params.task import Task
from redoubt.training.search import Tried, totals
from redoubt.training.sweep import Point
from tests.support.staged import COUNT, put_rows

KEY = {"plan": {"epochs": 5, "seed": 1}, "model": {"kind": "mlp", "units": (8,)}, "data": "sha"}


def test_a_training_of_other_settings_or_rows_is_not_resumed(task: Task) -> None:
    known = checkpoint("risk", "natural", KEY)
    assert known == checkpoint("risk", "natural", dict(reversed(KEY.items())))
    others = [
        checkpoint("risk", "adversarial", KEY),
        *(checkpoint("risk", "natural", {**KEY, name: "other"}) for name in KEY),
        checkpoint("risk", "natural", {**KEY, "plan": {"epochs": 5, "seed": 2}}),
    ]
    put_rows(np.random.default_rng(1).permutation(COUNT - 1))
    others.append(checkpoint("risk", "natural", KEY))
    assert len({known, *others}) == 1 + len(others)


def test_a_sweep_with_a_point_that_diverged_is_recorded(task: Task) -> None:
    data: TaskData = load_data("risk")
    points = [Point(Mlp(kind="mlp", units=(8,)), 16, 9.0), Point(Linear(kind="linear"), 16, 0.1)]
    nan = float("nan")
    bad, good = [{"loss": 2.0, "val_loss": nan}, {"loss": nan, "val_loss": nan}], [{"loss": 1.0, "val_loss": 0.5}] * 2
    tried = [Tried(points[0], [bad, good]), Tried(points[1], [good, good])]
    record = sweep._record("risk", data, tried, totals(tried, 2))
    assert (record.params["model"], record.metrics) == ("logistic", {"val_loss": 0.5})
    children = {child.run: child for child in record.children}
    assert len(children) == 2 * 3
    first = children["mlp 8, batch 16, rate 9, fold 0"]
    assert (first.metrics, first.curves) == ({"loss": 2.0}, {"epoch/loss": [(1, 2.0)]})


def test_a_trial_that_was_stopped_is_recorded_and_never_chosen(task: Task) -> None:
    data: TaskData = load_data("risk")
    short, curve = [{"loss": 1.0, "val_loss": 0.1}], [{"loss": 1.0, "val_loss": 0.5}]
    point = Point(Linear(kind="linear"), 16, 0.1)
    tried = [Tried(point, [short], trial=0), Tried(point, [curve, curve], trial=1)]
    record = sweep._record("risk", data, tried, totals(tried, 2))
    assert (record.metrics, record.params["points"], record.params["folds"]) == ({"val_loss": 0.5}, 2, 2)
    stopped, _, whole, *_ = record.children
    assert (stopped.run, stopped.params["stopped_after"]) == ("trial 0: logistic, batch 16, rate 0.1", 1)
    assert (whole.params["trial"], "stopped_after" in whole.params) == (1, False)


def test_an_attacks_jobs_arrive_in_another_process_as_they_were_sent(task: Task) -> None:
    """One per norm; what they open there they find by its path."""
    given = settings(AttackSettings, task, 1)
    jobs = attack._jobs(given, load_data("risk"), EvaluationCache(Path("kept")))
    assert [job.norm for job in jobs] == list(NORMS)
    for job in jobs:
        sent = pickle.loads(pickle.dumps((attack.measure, job)))
        assert sent[0] is attack.measure
        assert (sent[1].settings, sent[1].folders, sent[1].seed) == (given, job.folders, job.seed)
        assert sent[1].splits.keys() == job.splits.keys() >= {"test"}
        for name, split in job.splits.items():
            there = sent[1].splits[name]
            assert (there.eps, there.thorough) == (split.eps, split.thorough)
            assert np.array_equal(there.batch.x, split.batch.x)
            assert np.array_equal(there.batch.y, split.batch.y)
        for name in ("lower", "upper", "scale"):
            assert np.array_equal(getattr(sent[1].bounds, name), getattr(job.bounds, name))
        sent[1].cache.remember({"norm": job.norm}, {}, lambda: {"found": np.ones(1)})
        assert job.cache.remember({"norm": job.norm}, {}, dict)["found"] == 1.0, "another cache than the one meant"
