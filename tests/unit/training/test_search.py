"""Trials that are drawn: the same for a seed, whoever trains them and however often that is cut short."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from redoubt.params.settings.networks import Linear, Mlp
from redoubt.params.settings.search import Ranges, SearchParams
from redoubt.training.search import BATCH, Tried, search, totals
from redoubt.training.sweep import Curve, Point, score, winner

FOLDS = 3
PARAMS = SearchParams(trials=18, ranges=Ranges(width=(4, 64), learning_rate=(0.001, 0.1)), epochs=2)


def loss(point: Point, fold: int) -> float:
    """Lowest for one layer of 16 units, a rate of 0.01 and small batches."""
    width = point.model.units[0] if isinstance(point.model, Mlp) else 1
    far = abs(math.log(width / 16)) + abs(math.log10(point.learning_rate / 0.01)) + math.log2(point.batch_size) / 50
    return far + 0.01 * fold


def curves(point: Point, limits: Sequence[float]) -> list[Curve]:
    found: list[Curve] = []
    for fold in range(FOLDS):
        found.append([{"loss": 1.0, "val_loss": loss(point, fold)}])
        if score(found) > limits[fold]:
            break
    return found


class Trainer:
    """Counts the batches; is killed in one of them."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.batches: list[list[Point]] = []
        self._killed_at = killed_at

    def __call__(self, points: Sequence[Point], limits: Sequence[float]) -> list[list[Curve]]:
        self.batches.append(list(points))
        if len(self.batches) == self._killed_at:
            raise KeyboardInterrupt
        return [curves(point, limits) for point in points]


def searched(folder: Path, train: Trainer, seed: int = 1, params: SearchParams = PARAMS) -> list[Tried]:
    return search(params, FOLDS, seed, folder / "kept" / "a.journal", train)


def test_a_seed_draws_the_same_trials_in_batches_of_one_size(tmp_path: Path) -> None:
    train = Trainer()
    first, again, other = (searched(tmp_path / str(run), train, seed) for run, seed in enumerate((1, 1, 2)))
    assert first == again != other
    assert [each.trial for each in first] == list(range(PARAMS.trials))
    assert [len(batch) for batch in train.batches] == [4, 4, 4, 4, 2] * 3
    assert len({each.point for each in first}) > PARAMS.trials - BATCH


def test_all_trials_lie_within_their_ranges_and_begin_with_each_depth(tmp_path: Path) -> None:
    points = [each.point for each in searched(tmp_path, Trainer())]
    assert [len(point.model.units) if isinstance(point.model, Mlp) else 0 for point in points[:4]] == [0, 1, 2, 3]
    assert points[0] == Point(Linear(kind="linear"), 45, 0.01)
    assert points[1].model == Mlp(kind="mlp", units=(16,))
    for point in points:
        assert 16 <= point.batch_size <= 128
        assert 0.001 <= point.learning_rate <= 0.1
        assert point.learning_rate == float(f"{point.learning_rate:.2g}")
        if isinstance(point.model, Mlp):
            assert all(4 <= units <= 64 for units in point.model.units)
            assert 0 <= point.model.dropout <= 0.3


def test_it_adapts(tmp_path: Path) -> None:
    """What is drawn by the estimator is better than what was drawn before it, over ten seeds."""
    params = PARAMS.model_copy(update={"trials": 40})
    ends, starts = [], []
    for seed in range(10):
        losses = [loss(each.point, 0) for each in searched(tmp_path / str(seed), Trainer(), seed, params)]
        starts.append(np.median(losses[4:12]))
        ends.append(np.median(losses[-8:]))
    assert np.mean(ends) < 0.8 * np.mean(starts)


def test_hopeless_trials_are_stopped_and_never_win(tmp_path: Path) -> None:
    tried = searched(tmp_path, Trainer())
    lengths = [len(each.curves) for each in tried]
    assert lengths[:BATCH] == [FOLDS] * BATCH, "nothing is known when the first batch is drawn"
    assert min(lengths) == 1
    scores = totals(tried, FOLDS)
    assert [math.isinf(total) for total in scores] == [length < FOLDS for length in lengths]
    assert tried[winner(scores)].point == min((each.point for each in tried), key=lambda point: loss(point, 0))


@pytest.mark.parametrize("killed_at", [1, 2, 4])
def test_a_killed_search_ends_as_one_that_was_not(killed_at: int, tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", Trainer())
    killed, resumed = Trainer(killed_at), Trainer()
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, killed)
    journal = tmp_path / "kept/a.journal"
    # What a kill may leave behind: a lock, and half a line.
    journal.with_name("a.journal.lock").symlink_to(journal)
    with journal.open("a") as lines:
        lines.write('{"op_code": 4, "work')
    assert searched(tmp_path, resumed) == whole
    assert killed.batches[: killed_at - 1] == resumed.batches[: killed_at - 1]
    assert searched(tmp_path, Trainer()) == whole


def test_a_damaged_journal_is_said_and_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = searched(tmp_path, Trainer())
    journal = tmp_path / "kept/a.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:9], bytes(20) + b"\n", *lines[9:]]))
    assert searched(tmp_path, Trainer()) == whole
    assert "a.journal' is damaged (" in capsys.readouterr().err


def test_a_trial_told_of_a_loss_that_is_no_number_is_the_worst(tmp_path: Path) -> None:
    def train(points: Sequence[Point], limits: Sequence[float]) -> list[list[Curve]]:
        diverged = [[{"loss": 1.0, "val_loss": math.nan}]] * FOLDS
        return [diverged if isinstance(point.model, Linear) else curves(point, limits) for point in points]

    tried = search(PARAMS, FOLDS, 1, tmp_path / "a.journal", train)
    assert math.isinf(totals(tried, FOLDS)[0])
    assert isinstance(tried[winner(totals(tried, FOLDS))].point.model, Mlp)


def test_ranges_of_one_value_leave_nothing_to_draw(tmp_path: Path) -> None:
    ranges = Ranges(width=(8, 8), depth=(1, 1), dropout=(0.1, 0.1), batch_size=(32, 32), learning_rate=(0.01, 0.01))
    tried = searched(tmp_path, Trainer(), params=SearchParams(trials=6, ranges=ranges, epochs=1))
    assert {each.point for each in tried} == {Point(Mlp(kind="mlp", units=(8,), dropout=0.1), 32, 0.01)}


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    searched(tmp_path, Trainer())
    assert capfd.readouterr() == ("", "")
