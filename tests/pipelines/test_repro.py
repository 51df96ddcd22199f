"""`python -m pipelines.repro` with the real DVC, in small projects whose stages take no time."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from rich.console import Console

from pipelines._board import Board, Far, Lines, clock, how_far
from pipelines._commands import PROGRESS, RUNNING, Commands, end_orphans, log_of
from pipelines._project import ProjectError, opened
from pipelines._scheduler import Outcome, expected_seconds, run_all, ways
from redoubt.progress import FOLDER, progress_bar

ROOT = Path(__file__).resolve().parents[2]
# Of a library that DVC builds its graph with.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon:DeprecationWarning")
LOCK = Path("dvc.lock")
# Waits for a file that the other one makes, at most 20 s.
MEET = "touch {0}; for i in $(seq 400); do [ -e {1} ] && break; sleep 0.05; done; [ -e {1} ]"
LONG = "a word " * 20


class Seen:
    """Takes note of what ended."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def ended(self, name: str, *, changed: bool, error: Exception | None = None) -> None:
        """In this order."""
        self.order.append(name)

    def tick(self) -> None:
        """Nothing to draw."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with this one's params.yaml."""
    monkeypatch.chdir(tmp_path)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n")
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"^run: .*$", "run: [evolution, digits]", text, flags=re.MULTILINE))
    return tmp_path


def put(**stages: Any) -> None:
    """Write dvc.yaml; a stage writes the file of its own name unless it says otherwise."""
    whole = {
        name: {"cmd": f"echo {name} > {name}", "outs": [name], **stage} if "do" not in stage else stage
        for name, stage in stages.items()
    }
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": whole}, sort_keys=False))


def after(name: str, *deps: str, **more: Any) -> dict[str, Any]:
    """A stage that reads others' files."""
    return {"cmd": f"cat {' '.join(deps)} > {name}", "deps": list(deps), **more}


def reproduce(jobs: int = 2, keep_going: bool = False, settings: Mapping[str, Any] = {}) -> tuple[Outcome, list[str]]:
    """In this process."""
    commands, seen = Commands(), Seen()
    with opened(commands, settings) as project:
        needs = project.needs
        first = ways(needs, expected_seconds(needs))
        outcome = run_all(needs, project.reproduce, seen, commands.stop, jobs=jobs, first=first, keep_going=keep_going)
    return outcome, seen.order


def dvc(*words: str) -> str:
    """What DVC itself says."""
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "DVC_NO_ANALYTICS": "1"}


def start(*words: str) -> subprocess.Popen[str]:
    """The command; the table at its end needs what this project lacks."""
    code = "from pipelines import repro; repro.summary.show = lambda p: print('table', *p.run, p.course); repro.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**environment(), "CI": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*words: str, code: int = 0) -> tuple[str, str]:
    """What it printed, when it has ended as expected."""
    process = start(*words)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def wait_for(path: str, process: subprocess.Popen[str] | None = None) -> None:
    """Until a file is there."""
    until = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < until, path
        assert process is None or process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def test_stages_run_side_by_side_and_leave_nothing_to_dvc(here: Path) -> None:
    put(
        left={"cmd": f"{MEET.format('met-l', 'met-r')}; echo l > left", "desc": LONG},
        right={"cmd": f"{MEET.format('met-r', 'met-l')}; echo r > right", "params": ["seed", "tasks.evolution"]},
        both=after("both", "left", "right"),
    )
    outcome, order = reproduce()
    assert outcome == Outcome(done={"left": True, "right": True, "both": True})
    assert order[-1] == "both"
    assert Path("both").read_text() == "l\nr\n"
    assert not RUNNING.joinpath("left.json").exists()
    assert "up to date" in dvc("status")
    # As DVC itself writes the same, in whatever order.
    ours = yaml.safe_load(LOCK.read_bytes())["stages"]
    before = LOCK.read_bytes()
    dvc("repro", "--force", "--quiet")
    assert LOCK.read_bytes() == before
    assert list(ours) == ["left", "right", "both"]
    assert reproduce()[0] == Outcome(done={"left": False, "right": False, "both": False})


def test_data_that_dvc_tracks_by_itself_is_brought_up_to_date_too(here: Path) -> None:
    Path("own").mkdir()
    Path("own/data.csv").write_text("1\n")
    dvc("add", "own/data.csv")
    put(one=after("one", "own/data.csv"))
    assert reproduce()[0].done == {"own/data.csv.dvc": False, "one": True}
    before = Path("own/data.csv.dvc").read_text()
    Path("own/data.csv").unlink()
    Path("own/data.csv").write_text("12\n")
    assert reproduce()[0].done == {"own/data.csv.dvc": True, "one": True}
    assert Path("one").read_text() == "12\n"
    assert Path("own/data.csv.dvc").read_text() != before
    assert list(yaml.safe_load(LOCK.read_bytes())["stages"]) == ["one"]


def test_what_the_run_cache_has_is_not_run_again(here: Path) -> None:
    put(one={"cmd": "echo again >> ran; echo 1 > one", "params": ["seed"]})
    assert reproduce()[0].done == {"one": True}
    lock = LOCK.read_bytes()
    Path("one").unlink()
    LOCK.unlink()
    assert reproduce()[0].done == {"one": True}
    assert Path("ran").read_text() == "again\n"
    assert (Path("one").read_text(), LOCK.read_bytes()) == ("1\n", lock)


@pytest.mark.parametrize("keep_going", [False, True])
def test_after_a_failure_what_runs_is_finished(keep_going: bool, here: Path) -> None:
    put(
        bad={"cmd": "echo 'error: bad: no such row'; touch failed; exit 3"},
        slow={"cmd": "for i in $(seq 400); do [ -e failed ] && break; sleep 0.05; done; sleep 0.3; echo s > slow"},
        next=after("next", "slow"),
        never=after("never", "bad"),
    )
    outcome, _ = reproduce(keep_going=keep_going)
    assert outcome.done == ({"slow": True, "next": True} if keep_going else {"slow": True})
    assert list(outcome.failed) == ["bad"]
    assert outcome.left == (["never"] if keep_going else ["next", "never"])
    assert list(yaml.safe_load(LOCK.read_bytes())["stages"]) == list(outcome.done)
    if keep_going:
        return
    out, err = run(code=1)
    assert err.splitlines()[-1:] == ["error: bad: no such row (its output: .redoubt/logs/bad.log)"]
    assert "bad failed (" in out
    assert re.search(r"0:\d\d for 4 stages: \d run, 0 from DVC's cache, 1 unchanged, 1 failed, \d not begun$", out)


def test_a_project_that_dvc_cannot_read_is_one_line(here: Path) -> None:
    Path("dvc.yaml").write_text("stages: [")
    with pytest.raises(ProjectError, match="dvc.yaml.*`dvc status` says more") as error:
        reproduce()
    assert "\n" not in str(error.value)


def test_an_interrupt_reaches_every_stage_and_the_next_run_goes_on(here: Path) -> None:
    waiting = "trap 'touch told-{0}; exit 1' INT; touch up-{0}; if [ ! -e go ]; then sleep 60 & wait; fi; echo > {0}"
    put(done={}, a={"cmd": waiting.format("a")}, b={"cmd": waiting.format("b")}, last=after("last", "a", "b"))
    process = start("--jobs", "3")
    for path in ("done", "up-a", "up-b"):
        wait_for(path, process)
    wait_for("dvc.lock", process)
    lock = LOCK.read_bytes()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    *notes, last = err.splitlines()
    assert last == "interrupted: what was finished is kept, and the next run goes on from there"
    assert all(note.startswith("note: ") for note in notes)
    assert Path("told-a").exists()
    assert Path("told-b").exists()
    assert LOCK.read_bytes() == lock
    assert list(yaml.safe_load(lock)["stages"]) == ["done"]
    Path("go").touch()
    out, _ = run()
    assert "done done" not in out
    assert re.search(r"^last done \(4 of 4 stages, 0:\d\d\)$", out, re.MULTILINE)


def test_a_killed_run_leaves_nobody_at_work(here: Path) -> None:
    put(slow={"cmd": "touch up; if [ ! -e go ]; then sleep 600; fi; echo > slow"})
    process = start()
    wait_for(str(RUNNING / "slow.json"), process)
    wait_for("up", process)
    _, err = run(code=1)
    assert err == "error: another `make repro` is at work in this project: wait for its end, or stop it by Ctrl-C\n"
    process.kill()
    process.communicate(timeout=30)
    orphan = psutil.Process(json.loads((RUNNING / "slow.json").read_text())["process"])
    assert orphan.is_running()
    Path("go").touch()
    _, err = run()
    assert err == "slow was still at work for a run that was killed: it is ended, and run again\n"
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert Path("slow").exists()


def test_a_note_of_another_process_ends_nobody(here: Path) -> None:
    RUNNING.mkdir(parents=True)
    (RUNNING / "old.json").write_text(json.dumps({"process": os.getpid(), "since": 1.0}))
    (RUNNING / "torn.json").write_text("{")
    assert end_orphans() == []
    assert not list(RUNNING.iterdir())


def test_tasks_of_the_command_line_leave_the_tree_as_it_is(here: Path) -> None:
    write = "echo ${item} ${course} > ${item}"
    put(
        one={"foreach": "${run}", "do": {"cmd": write, "params": ["seed"], "outs": ["${item}"]}},
        end={"params": ["run"]},
    )
    out, _ = run()
    assert out.splitlines()[-1] == "table evolution digits quick"
    before = {name: Path(name).read_bytes() for name in ("params.yaml", "dvc.lock")}
    out, _ = run("--run", "mnist", "digits", "--course", "full")
    assert out.splitlines()[-1] == "table mnist digits full"
    assert [Path(name).read_text() for name in ("mnist", "digits", "evolution")] == [
        "mnist full\n",
        "digits full\n",
        "evolution quick\n",
    ]
    again, _ = run("--run", "mnist", "digits", "--course", "full")
    assert re.fullmatch("0:0. for 3 stages: 0 run, 0 from DVC's cache, 3 unchanged\ntable mnist digits full\n", again)
    assert {name: Path(name).read_bytes() for name in before} == before
    own = Path(".redoubt/locks/digits+mnist+course=full.lock")
    assert yaml.safe_load(own.read_bytes())["stages"]["end"]["params"]["params.yaml"] == {"run": ["mnist", "digits"]}
    # And back: what was there before is not made again, it is in DVC's cache.
    shutil.rmtree(".redoubt/logs")
    out, _ = run()
    assert Path("digits").read_text() == "digits quick\n"
    assert [path.stem for path in Path(".redoubt/logs").iterdir()] == ["dvc"]
    assert {name: Path(name).read_bytes() for name in before} == before


def test_an_unknown_task_is_refused_before_anything_runs(here: Path) -> None:
    put(one={})
    _, err = run("--run", "mnits", code=1)
    assert re.fullmatch("error: .*mnits.*\n", err)
    assert not Path("one").exists()


def test_the_longest_way_comes_first() -> None:
    needs: dict[str, set[str]] = {"a": set(), "b": set(), "c": {"b"}, "d": {"a", "c"}}
    found = ways(needs, {"a": 5.0, "b": 1.0, "c": 7.0, "d": 2.0})
    assert found == {"a": 7.0, "b": 10.0, "c": 9.0, "d": 2.0}
    seen = Seen()
    assert run_all(needs, lambda name: True, seen, lambda: None, jobs=1, first=found).left == []
    assert seen.order == ["b", "c", "a", "d"]


@pytest.fixture
def bars(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two processes' bars of a stage, as `progress_bar` writes them, and one that counts what they do together."""
    monkeypatch.setenv(FOLDER, str(PROGRESS / "attack@digits"))
    opened_bars = [progress_bar(total=2, desc="attack", unit="job"), progress_bar(total=10, desc="a", unit="threat")]
    opened_bars.append(progress_bar(total=30, desc="b", unit="threat"))
    for bar in opened_bars[1:]:
        bar.set_postfix(loss="0.25", refresh=False)
        bar.update(5)
        bar.refresh()
    yield
    for bar in opened_bars:
        bar.close()


def test_the_bars_of_a_stage_are_added_up(bars: None) -> None:
    assert how_far("attack@digits") == Far(10, 40, "threat", "loss=0.25")
    assert how_far("sweep@digits") == Far()


def test_a_bar_of_a_stage_by_hand_is_one_of_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    written = io.StringIO()
    assert list(progress_bar([1, 2], desc="rows", file=written)) == [1, 2]
    assert "rows: 100%" in written.getvalue()


@pytest.mark.parametrize("kind", [Board, Lines])
def test_what_is_shown(kind: type[Board | Lines], bars: None) -> None:
    written = io.StringIO()
    terminal = kind is Board
    console = Console(file=written, force_terminal=terminal, width=120, color_system=None, legacy_windows=False)
    needs: dict[str, set[str]] = {
        "ingest@digits": set(),
        "attack@digits": {"ingest@digits"},
        "report": {"attack@digits"},
    }
    expected = {"ingest@digits": 1.0, "attack@digits": 100.0, "report": 20.0}
    with kind(console, needs, expected, lambda: {"attack@digits": 65.0}, 2) as board:
        board.ended("ingest@digits", changed=True)
        board.tick()
        drawn = written.getvalue()
        board.ended("attack@digits", changed=True, error=ValueError("no"))
        board.tick()
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())
    if not terminal:
        assert "\r" not in said
        assert "\x1b" not in written.getvalue()
        assert said.splitlines() == [
            "ingest@digits done (1 of 3 stages, 0:00)",
            "attack@digits runs: 10 of 40 (threat), 1:05, about 3:15 left",
            "attack@digits failed (2 of 3 stages, 0:00)",
        ]
        return
    # 65 s for a quarter of it, and the report after that.
    assert "1 of 3 stages, 0:00, about 3:35 left" in drawn
    assert re.search(r"attack@digits +━+ *10/40 threat +1:05 +3:15 left +loss=0.25", said)
    assert "attack@digits failed: what is running is finished, nothing more is begun" in said


def test_a_clock() -> None:
    assert [clock(seconds) for seconds in (0.4, 65, 3725)] == ["0:00", "1:05", "1:02:05"]


def test_a_log_holds_all_that_a_stage_prints(here: Path) -> None:
    put(one={"cmd": "echo to one; echo to two >&2; echo 1 > one"})
    reproduce()
    assert log_of("one").read_text() == "to one\nto two\n"
