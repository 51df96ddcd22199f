"""A new champion takes the old one's place once it is whole and good; a bad one never does."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redoubt.bundle.model.guarded_model import NOT_PROMOTED
from serving import moves
from serving.kept import COPIES, Kept
from serving.moves import WRITTEN, Follower, MoveError
from tests.support.bundles import SCHEMAS, vary, write_card

Make = Callable[[], Follower]


@pytest.fixture
def served(models: Path, tmp_path: Path) -> Path:
    """A models folder of its own, with two tasks."""
    for task in ("digits", "evolution"):
        shutil.copytree(models / task, tmp_path / "models" / task)
    return tmp_path / "models"


@pytest.fixture
def follow(served: Path, tmp_path: Path) -> Make:
    """One process of an instance that serves them."""
    (tmp_path / "instance").mkdir()
    return lambda: Follower(served, Kept(tmp_path / "instance"))


def digest(follower: Follower, task: str = "digits") -> str:
    return follower.runtime.champions[task].model.digest


def settled(follower: Follower) -> Follower:
    """After as many looks as it takes to see that nobody writes any more."""
    for _ in range(2):
        follower.look()
    return follower


def test_nothing_moves_where_nothing_changes(follow: Make) -> None:
    follower = follow()
    before = follower.runtime
    assert settled(follower).runtime == before


def test_a_new_champion_is_served_once_nobody_writes_to_it(follow: Make, served: Path) -> None:
    follower = follow()
    before, other = digest(follower), follower.runtime.champions["evolution"]
    new = vary(served / "digits" / "champion", 1)
    assert follower.look().pending == {"digits": WRITTEN}
    assert digest(follower) == before
    assert follower.look().pending == {}
    assert digest(follower) == new != before
    assert follower.runtime.champions["evolution"] is other, "what did not change is loaded again"


def test_another_example_is_told_of_though_the_model_is_the_same(follow: Make, served: Path) -> None:
    follower, image = follow(), np.full((8, 8), 0.25).tolist()
    before = digest(follower)
    request = {"task": "digits", "inputs": [image]}
    (served / "digits" / "champion" / "example.json").write_text(json.dumps(request))
    champion = settled(follower).runtime.champions["digits"]
    assert (champion.model.digest, champion.example) == (before, image)


def test_at_once_waits_for_nothing(follow: Make, served: Path) -> None:
    follower = follow()
    new = vary(served / "digits" / "champion", 1)
    follower.look(at_once=True)
    assert digest(follower) == new


def _half(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes()[:100])


def _not_ours(bundle: Path) -> None:
    write_card(bundle, SCHEMAS["digits"], task="mnist")


def _bad_example(bundle: Path) -> None:
    vary(bundle, 2)
    (bundle / "example.json").write_text(json.dumps({"task": "digits", "inputs": [[1.0]]}))


def _failed_gates(bundle: Path) -> None:
    write_card(bundle, SCHEMAS["digits"], passed=False)


def _no_card(bundle: Path) -> None:
    (bundle / "card.json").unlink()


BAD = {
    "half copied": (_half, "champion has digest"),
    "of another task": (_not_ours, "its card for 'mnist'"),
    "fails on its example": (_bad_example, "example.json: input 0"),
    "gates not passed": (_failed_gates, "gates were not passed"),
    "without a card": (_no_card, "card.json cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_never_replaces_a_good_one_and_says_why(
    name: str, follow: Make, served: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage, reason = BAD[name]
    follower = follow()
    before = digest(follower)
    damage(served / "digits" / "champion")
    settled(follower)
    assert digest(follower) == before
    assert follower.runtime.ready
    assert reason in follower.runtime.pending["digits"]
    assert str(served) not in follower.runtime.pending["digits"]
    assert f"model {before} goes on" in caplog.text
    caplog.clear()
    settled(follower)
    assert not caplog.records, "said again without anything new"
    assert reason in follower.runtime.pending["digits"]
    (served / "digits" / "champion" / "example.json").unlink(missing_ok=True)
    shutil.copyfile(served.parent / "whole.onnx", served / "digits" / "champion" / "model.onnx")
    new = vary(served / "digits" / "champion", 3)
    settled(follower)
    assert (digest(follower), follower.runtime.pending) == (new, {})


@pytest.fixture(autouse=True)
def _whole(served: Path) -> None:
    shutil.copyfile(served / "digits" / "champion" / "model.onnx", served.parent / "whole.onnx")


def test_a_new_task_appears_once_it_is_whole(follow: Make, served: Path, models: Path) -> None:
    follower = follow()
    new = served / "colours" / "champion"
    shutil.copytree(models / "colours" / "champion", new)
    (new / "card.json").unlink()
    settled(follower)
    assert list(follower.runtime.champions) == ["digits", "evolution"]
    assert follower.runtime.ready, "a task that never was there takes the others out of service"
    assert "card.json" in follower.runtime.pending["colours"]
    shutil.copyfile(models / "colours" / "champion" / "card.json", new / "card.json")
    settled(follower)
    assert sorted(follower.runtime.champions) == ["colours", "digits", "evolution"]


def test_what_was_refused_at_the_start_is_served_once_it_is_mended(follow: Make, served: Path) -> None:
    write_card(served / "digits" / "champion", SCHEMAS["digits"], passed=False)
    follower = follow()
    assert not follower.runtime.ready
    write_card(served / "digits" / "champion", SCHEMAS["digits"], digest="0" * 64)
    assert "its card reports on 000" in settled(follower).runtime.problems["digits"]
    write_card(served / "digits" / "champion", SCHEMAS["digits"])
    assert settled(follower).runtime.ready


def test_a_task_whose_folder_is_gone_is_served_for_a_while(
    follow: Make, served: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    follower = follow()
    shutil.rmtree(served / "digits")
    assert "served on for" in settled(follower).runtime.pending["digits"]
    assert "digits" in follower.runtime.champions
    monkeypatch.setattr(moves, "GRACE", 0.0)
    settled(follower)
    assert (list(follower.runtime.champions), follower.runtime.pending) == (["evolution"], {})
    assert "task digits is no longer served: its bundle is gone" in caplog.text
    shutil.rmtree(served)
    settled(follower)
    assert list(follower.runtime.champions) == ["evolution"], "a disk that is away took the last one out of service"
    assert "no bundle in the models folder" in follower.runtime.pending["evolution"]


def test_a_folder_replaced_by_hand_is_never_out_of_service(follow: Make, served: Path, models: Path) -> None:
    follower = follow()
    before = digest(follower)
    shutil.rmtree(served / "digits")
    follower.look()
    shutil.copytree(models / "digits", served / "digits")
    assert follower.look().pending == {"digits": WRITTEN}
    settled(follower)
    assert (digest(follower), follower.runtime.pending) == (before, {})


def test_a_task_of_which_no_model_cleared_the_gates_is_served_no_longer(follow: Make, served: Path) -> None:
    follower = follow()
    shutil.rmtree(served / "digits" / "champion")
    (served / "digits" / "champion").mkdir()
    (served / "digits" / "champion" / NOT_PROMOTED).touch()
    settled(follower)
    assert (list(follower.runtime.champions), follower.runtime.refused) == (["evolution"], {"digits"})


def test_a_rollback_serves_what_was_served_before_and_another_takes_it_back(follow: Make, served: Path) -> None:
    follower = follow()
    first = digest(follower)
    follower.keep()
    second = vary(served / "digits" / "champion", 1)
    settled(follower)
    follower.roll_back("digits")
    assert digest(follower) == first
    assert digest(settled(follower)) == first, "the folder's took its place again"
    follower.roll_back("digits")
    assert digest(settled(follower)) == second
    follower.roll_back("digits")
    third = vary(served / "digits" / "champion", 2)
    assert digest(settled(follower)) == third, "a newer bundle must end the rollback"
    follower.roll_back("digits")
    assert digest(follower) == first, "not the one that was rolled back from"


def test_every_process_of_an_instance_follows_a_rollback_and_so_does_one_that_starts_later(
    follow: Make, served: Path
) -> None:
    one, other = follow(), follow()
    first = digest(one)
    one.keep()
    vary(served / "digits" / "champion", 1)
    settled(one)
    one.roll_back("digits")
    assert digest(settled(other)) == first
    assert digest(follow()) == first


def test_a_rollback_that_cannot_be_is_said(follow: Make, served: Path) -> None:
    follower = follow()
    follower.keep()
    with pytest.raises(MoveError, match="no other champion was served since"):
        follower.roll_back("digits")
    with pytest.raises(MoveError, match="nothing is served for task 'mnist'; tasks served: digits, evolution"):
        follower.roll_back("mnist")
    first, second = digest(follower), vary(served / "digits" / "champion", 1)
    settled(follower)
    shutil.rmtree(served.parent / "instance" / "kept" / "digits" / first / "proof.onnx", ignore_errors=True)
    (served.parent / "instance" / "kept" / "digits" / first / "proof.onnx").write_bytes(b"?")
    with pytest.raises(MoveError, match="was not rolled back: .* has digest"):
        follower.roll_back("digits")
    assert digest(settled(follower)) == second
    assert follower.runtime.pending == {}


def test_a_full_disk_keeps_nothing_and_is_said(
    follow: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    follower = follow()
    monkeypatch.setattr(shutil, "copyfile", full)
    caplog.set_level(logging.WARNING)
    follower.keep()
    assert "no copy to roll back to could be made: No space left on device" in caplog.text


def test_few_copies_are_kept(follow: Make, served: Path) -> None:
    follower = follow()
    for number in range(1, COPIES + 3):
        vary(served / "digits" / "champion", number)
        follower.look(at_once=True)
    kept = served.parent / "instance" / "kept" / "digits"
    assert len(list(kept.iterdir())) == COPIES
    assert (kept / digest(follower)).is_dir()
