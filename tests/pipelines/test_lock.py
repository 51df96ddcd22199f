"""What an interruption does to dvc.lock, and that the copy of it mends that."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import dumps_yaml
from dvc.utils.serialize._yaml import loads_yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from voluptuous import MultipleInvalid

from pipelines import _lock
from pipelines._lock import DAMAGED, KEPT, LOCK, LockError, drop_torn_rwlock, keep_lock, put_entry
from redoubt.core.store import whole_file

ROOT = Path(__file__).resolve().parents[2]
WHOLE = (ROOT / "dvc.lock").read_bytes()
# The first stages are enough, and quicker to parse.
SHORT = b"".join(_lock._entries(WHOLE)[:5])
# What DVC takes a moment to write.
LONG = b"".join(_lock._entries(WHOLE)[:16])
SHORTER = b"".join(_lock._entries(WHOLE)[:4])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, whose lock DVC wrote whole."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_lock, "WRITING_SECONDS", 0.0)
    LOCK.write_bytes(SHORT)
    keep_lock()
    assert KEPT.read_bytes() == SHORT
    return tmp_path


def accepted(text: bytes) -> bool:
    """By DVC itself."""
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, MultipleInvalid, UnicodeDecodeError):
        return False
    return True


CUTS = st.one_of(st.integers(0, len(SHORT) - 1), st.sampled_from([m.end() for m in re.finditer(rb"\n", SHORT)][:-1]))


@settings(max_examples=60)
@given(CUTS)
def test_wherever_it_is_cut_off_it_is_put_back(cut: int) -> None:
    now = SHORT[:cut]
    if _lock._valid(now) and not _lock._cut(now, SHORT):
        # At the end of a stage: so might an earlier commit look, from before a stage was added.
        assert SHORT[cut : cut + 3].strip() == SHORT[cut + 2 : cut + 3]
        assert accepted(now)
    else:
        # DVC would go on with some of them, and lose the stages that follow. It also takes a digest that is cut off to
        # a number, which no whole lock holds.
        number = re.search(rb"md5: (0[0-7]*|[1-9]\d*)$", now) is not None
        assert _lock._valid(now) == (accepted(now) and b"stages:" in now and not number)


@pytest.mark.parametrize("size", [0, 1, len(SHORT) // 2, len(SHORT) - 1], ids=["empty", "1", "half", "last-byte-lost"])
def test_a_lock_that_was_cut_off_is_put_back_and_said(
    here: Path, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    LOCK.write_bytes(SHORT[:size])
    keep_lock()
    assert LOCK.read_bytes() == KEPT.read_bytes() == SHORT
    assert DAMAGED.read_bytes() == SHORT[:size]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("dvc.lock was cut off by an interruption")
    assert "git checkout dvc.lock" in said.err
    keep_lock()
    assert capsys.readouterr().err == ""


def test_cut_off_within_a_stage_that_follows_the_one_just_written(here: Path) -> None:
    """The stage that DVC was writing down is another than in the copy; the beginning is still known for one."""
    changed = SHORT.replace(b"pipelines.ingest evolution", b"pipelines.ingest evolution2", 1)
    entries = _lock._entries(changed)
    for line in range(1, entries[-1].count(b"\n")):
        LOCK.write_bytes(b"".join(entries[:-1]) + b"".join(entries[-1].splitlines(keepends=True)[:line]))
        keep_lock()
        assert LOCK.read_bytes() == SHORT


@pytest.mark.parametrize(
    "other",
    [SHORTER, WHOLE, SHORT.replace(b"seed: 20", b"seed: 21"), b"schema: '2.0'\nstages: {}\n"],
    ids=["earlier-commit", "later-commit", "other-branch", "empty-project"],
)
def test_a_whole_lock_is_never_replaced(here: Path, other: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    LOCK.write_bytes(other)
    keep_lock()
    assert LOCK.read_bytes() == KEPT.read_bytes() == other
    assert not DAMAGED.exists()
    assert capsys.readouterr().err == ""


def test_a_lock_that_somebody_is_writing_is_left_to_him(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LOCK.write_bytes(SHORT[:1000])
    monkeypatch.setattr(_lock.time, "sleep", lambda _: LOCK.write_bytes(SHORT[:2000]))
    keep_lock()
    assert LOCK.read_bytes() == SHORT[:2000]
    assert KEPT.read_bytes() == SHORT


@pytest.mark.parametrize("path", [LOCK, KEPT])
def test_what_a_killed_process_left_of_either_is_cleared_away(path: Path, here: Path) -> None:
    left = path.with_name(f".{path.name}.0123abcd.part")
    left.write_bytes(SHORT[:100])
    with whole_file(path) as writing:
        writing.write_bytes(SHORT)
        keep_lock()
        assert writing.is_file()
        assert not left.exists()
    assert path.read_bytes() == SHORT


def test_without_a_lock_there_is_nothing_to_keep(here: Path) -> None:
    LOCK.unlink()
    keep_lock()
    assert not LOCK.exists()


@pytest.mark.parametrize("kept", [None, b"", SHORT[:1000]], ids=["none", "empty", "cut"])
def test_a_damaged_lock_without_a_copy_gets_one_sentence(here: Path, kept: bytes | None) -> None:
    LOCK.write_bytes(b"")
    KEPT.unlink()
    if kept is not None:
        KEPT.write_bytes(kept)
    with pytest.raises(LockError, match="`git checkout dvc.lock` takes the committed one") as error:
        keep_lock()
    assert "\n" not in str(error.value)
    assert LOCK.read_bytes() == b""


def test_a_merge_is_left_to_the_user(here: Path) -> None:
    merging = SHORT.replace(b"    cmd:", b"<<<<<<< HEAD\n    cmd:", 1)
    LOCK.write_bytes(merging)
    with pytest.raises(LockError, match="unsettled merge"):
        keep_lock()
    assert (LOCK.read_bytes(), KEPT.read_bytes()) == (merging, SHORT)


@pytest.mark.parametrize("whole", [True, False])
def test_only_a_torn_note_of_running_processes_is_removed(whole: bool, here: Path) -> None:
    note = here / ".dvc/tmp/rwlock"
    note.parent.mkdir(parents=True)
    note.write_text('{"read": {}, "write": {}}'[: None if whole else 12])
    drop_torn_rwlock()
    assert note.exists() == whole


STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
MODULES = sorted({re.findall(r"-m (pipelines\.\w+)", str(stage))[0] for stage in STAGES.values()})


@pytest.mark.parametrize("module", MODULES)
def test_every_stage_keeps_the_lock_when_it_begins(module: str) -> None:
    """By `_stage.run`, which begins with it, or by itself."""
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert re.search(r'^    run\("\w+", \w+, work\)|^ +begin\(\)', text, re.MULTILINE)


NAMES = ["ingest@own", "train@own", "a b", "on", "report"]


@given(st.permutations(NAMES), st.sets(st.sampled_from(NAMES)), st.booleans())
def test_a_lock_depends_on_no_order_in_which_stages_end(order: list[str], there: set[str], others: bool) -> None:
    def entry(name: str) -> bytes:
        return dumps_yaml({"stages": {name: {"cmd": f"echo {name}: done"}}}).removeprefix("stages:\n").encode()

    known = [name for name in reversed(NAMES) if name in there] + ["of another run"] * others
    before = dumps_yaml({"schema": "2.0", "stages": {name: {"cmd": "old"} for name in known}}).encode()
    locks = []
    for ended in (order, NAMES):
        lock = before
        for name in ended:
            lock = put_entry(lock, entry(name), NAMES)
        locks.append(lock)
    assert locks[0] == locks[1]
    held = loads_yaml(locks[0])["stages"]
    assert held.keys() == {*NAMES, *known}
    assert dumps_yaml({"schema": "2.0", "stages": held}).encode() == locks[0]
    if not known:
        assert list(held) == NAMES


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=240)


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PATH": path, "PYTHONPATH": source, "DVC_NO_ANALYTICS": "1"}


def test_dvc_killed_while_it_writes_its_lock(tmp_path: Path) -> None:
    """The real one, in a project with a lock that takes it a while to write."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    for name in ("params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    stage = {
        "cmd": "python -c 'from pipelines._stage import begin; begin()' && mkdir -p out && echo done > out/result",
        "outs": ["out"],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"first": stage}}))
    lock = tmp_path / "dvc.lock"
    lock.write_bytes(LONG)
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 200
    while lock.stat().st_size > len(LONG) // 2 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert lock.stat().st_size < len(LONG)
    broken = command(tmp_path, "dvc", "status")
    assert "dvc.lock" in broken.stderr + broken.stdout
    (tmp_path / ".dvc/tmp/rwlock").write_bytes(b"")
    mended = command(tmp_path, "python", "-m", "pipelines.summary", "--check")
    assert mended.returncode == 0, mended.stderr
    assert "was cut off by an interruption" in mended.stderr
    assert "rwlock was cut off by an interruption and is removed" in mended.stderr
    assert lock.read_bytes() == LONG
    assert command(tmp_path, "dvc", "repro").returncode == 0
    assert lock.read_bytes().startswith(LONG)
    assert (tmp_path / "out/result").read_text() == "done\n"
    # What a killed process leaves in a tracked folder is no part of it.
    (tmp_path / "out/.result.0123abcd.part").write_text("half")
    assert "up to date" in command(tmp_path, "dvc", "status").stdout
