"""What a process killed by SIGKILL leaves behind, and what is made of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from redoubt.core import store
from redoubt.data.leftovers import clear, clear_beside

# Writes "new" over what is there and kills itself: in the block, or at some rename of the exchange.
WRITER = """
import os, signal, sys
from pathlib import Path
from redoubt.core import store

kind, moment = sys.argv[1:]
replace, times = os.replace, 0

def killed_replace(old, new):
    global times
    if moment == f"rename {times}":
        os.kill(os.getpid(), signal.SIGKILL)
    times += 1
    replace(old, new)

os.replace = killed_replace
with getattr(store, "whole_" + kind)(Path("reports/digits/result.json")) as new:
    (new / "part" if kind == "folder" else new).write_text("new")
    if moment == "block":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def content(path: Path) -> str:
    return (path / "part" if path.is_dir() else path).read_text()


@pytest.mark.parametrize(
    ("kind", "moment"),
    [("file", "block"), ("file", "rename 0"), ("folder", "block"), ("folder", "rename 0"), ("folder", "rename 1")],
)
def test_killed_at_any_moment_the_old_is_there_and_nothing_else(kind: str, moment: str, tmp_path: Path) -> None:
    folder = tmp_path / "reports/digits"
    target = folder / "result.json"
    with getattr(store, f"whole_{kind}")(target) as temporary:
        (temporary / "part" if kind == "folder" else temporary).write_text("old")
    done = subprocess.run([sys.executable, "-c", WRITER, kind, moment], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(folder.glob(".*.part"))) == (2 if moment == "rename 1" else 1)
    assert target.exists() == (moment != "rename 1")
    assert {path.name for path in folder.glob("*.json")} <= {"result.json"}
    clear(tmp_path / "reports")
    assert os.listdir(folder) == ["result.json"]
    assert content(target) == "old"


def test_an_old_folder_that_was_about_to_be_removed_is(tmp_path: Path) -> None:
    for name, text in ((".bundle.0123abcd-old.part", "old"), ("bundle", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text(text)
    clear(tmp_path)
    assert os.listdir(tmp_path) == ["bundle"]
    assert content(tmp_path / "bundle") == "new"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_living_process_writes_is_left_to_it(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    code = "import sys; from pathlib import Path; from redoubt.data.leftovers import clear; clear(Path(sys.argv[1]))"
    with getattr(store, f"whole_{kind}")(target) as temporary:
        (temporary / "part" if kind == "folder" else temporary).write_text("new")
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        clear(tmp_path)
        clear_beside(target)
    assert content(target) == "new"


def test_an_exchange_in_progress_is_left_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, replace = tmp_path / "bundle", os.replace
    with store.whole_folder(target) as temporary:
        (temporary / "part").write_text("old")

    def replace_while_another_clears(old: Path, new: Path) -> None:
        clear(tmp_path)
        replace(old, new)
        clear(tmp_path)

    monkeypatch.setattr(os, "replace", replace_while_another_clears)
    with store.whole_folder(target) as temporary:
        (temporary / "part").write_text("new")
    assert content(target) == "new"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize(
    "name", ["film.mkv.part", ".film.part", ".table.csv.0123abcd.csv", ".table.csv.0123ABCD.part", "a.0123abcd.part"]
)
def test_what_others_call_a_part_is_theirs(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    clear(tmp_path)
    assert os.listdir(tmp_path) == [name]


def test_beside_a_path_only_its_own_are_cleared(tmp_path: Path) -> None:
    names = [".record.json.0123abcd.part", ".other.json.0123abcd.part"]
    for name in names:
        (tmp_path / name).touch()
    clear_beside(tmp_path / "record.json")
    assert os.listdir(tmp_path) == names[1:]


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path: Path) -> None:
    clear(tmp_path / "none")
    clear_beside(tmp_path / "none" / "record.json")
