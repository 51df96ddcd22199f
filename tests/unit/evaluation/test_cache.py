import shutil
from pathlib import Path

import numpy as np
import pytest

from redoubt.evaluation.cache import Arrays, EvaluationCache

GIVEN = {"x": np.arange(6.0).reshape(3, 2), "y": np.array([1, 0, 1])}


class Counted:
    """Something that takes long, so one counts how often it is done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Arrays:
        self.times += 1
        return {"x_adv": GIVEN["x"] + self.times}


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    work = Counted()
    first = EvaluationCache(tmp_path).remember({"eps": 0.1}, GIVEN, work)
    again = EvaluationCache(tmp_path).remember({"eps": 0.1}, {name: each.copy() for name, each in GIVEN.items()}, work)
    assert work.times == 1
    assert np.array_equal(first["x_adv"], again["x_adv"])


def test_other_settings_and_other_rows_are_other_work(tmp_path: Path) -> None:
    work, cache = Counted(), EvaluationCache(tmp_path)
    cache.remember({"eps": 0.1}, GIVEN, work)
    cache.remember({"eps": 0.2}, GIVEN, work)
    cache.remember({"eps": 0.1}, {**GIVEN, "y": np.array([1, 1, 1])}, work)
    cache.remember({"eps": 0.1}, {**GIVEN, "x": GIVEN["x"] + 1}, work)
    assert work.times == len(list(tmp_path.iterdir())) == 4


def test_what_other_code_left_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Counted()
    EvaluationCache(tmp_path).remember({}, GIVEN, work)
    monkeypatch.setattr("redoubt.evaluation.cache.code_digest", lambda: "of the next version")
    EvaluationCache(tmp_path).remember({}, GIVEN, work)
    assert work.times == 2


def test_without_a_folder_nothing_is_remembered() -> None:
    work, cache = Counted(), EvaluationCache(None)
    for _ in range(2):
        cache.remember({}, GIVEN, work)
    cache.close()
    assert work.times == 2


def test_a_closed_ledger_is_empty(tmp_path: Path) -> None:
    work, cache = Counted(), EvaluationCache(tmp_path)
    cache.remember({}, GIVEN, work)
    cache.close()
    assert list(tmp_path.iterdir()) == []
    cache.remember({}, GIVEN, work)
    assert work.times == 2


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "half"])
def test_a_damaged_batch_is_computed_again(
    damage: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = EvaluationCache(tmp_path).remember({}, GIVEN, Counted())
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    for again in (Counted(), Counted()):
        assert np.array_equal(EvaluationCache(tmp_path).remember({}, GIVEN, again)["x_adv"], first["x_adv"])
    assert again.times == 0, "what was computed again is not kept"
    said = capsys.readouterr().err
    assert said.startswith(f"{path} is damaged (")
    assert said.count("\n") == 1


def test_a_batch_under_the_name_of_another_is_not_taken_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, cache = Counted(), EvaluationCache(tmp_path)
    cache.remember({"eps": 0.1}, GIVEN, work)
    (first,) = tmp_path.iterdir()
    wanted = cache.remember({"eps": 0.2}, GIVEN, work)
    (second,) = set(tmp_path.iterdir()) - {first}
    shutil.copy(first, second)
    work.times = 1
    assert np.array_equal(cache.remember({"eps": 0.2}, GIVEN, work)["x_adv"], wanted["x_adv"])
    assert work.times == 2
    assert "the result of another key" in capsys.readouterr().err
