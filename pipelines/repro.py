"""Do what `dvc repro` does, with stages side by side on one board, for the tasks named on the command line."""

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import joblib
import psutil
from rich.console import Console

from pipelines import summary
from pipelines._board import Board, Lines, clock
from pipelines._commands import LOGS, Commands, end_orphans, log_of
from pipelines._lock import LOCK
from pipelines._project import opened
from pipelines._same import other_bytes
from pipelines._scheduler import Outcome, expected_seconds, remember_seconds, run_all, ways
from redoubt.bundle.base.io import digest
from redoubt.core.errors import ends_in_one_line
from redoubt.core.store import whole_file
from redoubt.data.leftovers import clear

OWN_LOCKS, BUSY, DVC_SAYS = Path(".redoubt/locks"), Path(".redoubt/repro"), "dvc"
INTERRUPTED = 130
LONGEST = 100
# Of a stage that uses TensorFlow, with its share of the processes that it starts.
MEMORY = 2 * 2**30


def main() -> None:
    """Bring every stage up to date, and end with the table of champions."""
    given = _arguments()
    settings: dict[str, Any] = {"run": given.run, "course": given.course}
    settings = {key: value for key, value in settings.items() if value}
    try:
        with ends_in_one_line(), _signals_interrupt(), _alone():
            _run(given, settings)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept, and the next run goes on from there", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _run(given: argparse.Namespace, settings: Mapping[str, Any]) -> None:
    params = summary.check(settings)
    for name in end_orphans():
        print(f"{name} was still at work for a run that was killed: it is ended, and run again", file=sys.stderr)
    commands, began = Commands(), time.monotonic()
    outcome = _reproduce(given, settings, commands)
    _tell(outcome, commands.taken, time.monotonic() - began)
    if outcome.failed:
        sys.exit("\n".join(f"error: {_why(name, error)}" for name, error in outcome.failed.items()))
    if any(outcome.done.values()) and not settings:
        _prove()
    refused = summary.show(params)
    if not settings and (said := other_bytes(Path.cwd())):
        print(said, file=sys.stderr)
    summary.refuse_without_champion(refused)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.repro",
        description=f"{__doc__} `make repro` starts it. What each stage printed is in {LOGS}.",
    )
    parser.add_argument(
        "--run", nargs="+", metavar="TASK", help="work on these tasks instead of those that params.yaml names in `run`"
    )
    parser.add_argument("--course", choices=["quick", "full"], help="the size of the studies, instead of params.yaml's")
    parser.add_argument(
        "--jobs", type=_count, default=_at_a_time(), help="stages at a time; default: one per core, here %(default)s"
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="after a failure go on with what does not need the failed stage"
    )
    return parser.parse_args()


def _at_a_time() -> int:
    """One stage per core, as far as the memory goes."""
    return max(1, min(joblib.cpu_count(), psutil.virtual_memory().total // MEMORY))


def _count(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"got '{text}'; expected a whole number of stages at a time, at least 1")
    return int(text)


def _reproduce(given: argparse.Namespace, settings: Mapping[str, Any], commands: Commands) -> Outcome:
    with ExitStack() as stack:
        console = stack.enter_context(_console())
        project = stack.enter_context(opened(commands, settings, _own_lock(settings)))
        needs = project.needs
        seconds = expected_seconds(needs)
        watched = console.is_terminal and not console.is_dumb_terminal and "CI" not in os.environ
        shown = console, needs, seconds, commands.running, given.jobs
        board: Board | Lines = Board(*shown) if watched else Lines(*shown)
        stack.enter_context(board)

        def stop() -> None:
            project.stop()
            commands.stop()

        options: dict[str, Any] = {"jobs": given.jobs, "first": ways(needs, seconds), "keep_going": given.keep_going}
        try:
            return run_all(needs, project.reproduce, board, stop, **options)
        finally:
            remember_seconds(commands.taken)


def _own_lock(settings: Mapping[str, Any]) -> Path:
    """The lock of a run with settings of its own: dvc.lock belongs to those of params.yaml, and stays as it is."""
    clear(OWN_LOCKS)
    if not settings:
        return LOCK
    name = "+".join(
        [*sorted(settings.get("run", [])), *(f"course={size}" for size in [settings.get("course")] if size)]
    )
    path = OWN_LOCKS / f"{name if len(name) <= LONGEST else digest(name.encode())}.lock"
    if not path.is_file() and LOCK.is_file():
        with whole_file(path) as temporary:
            temporary.write_bytes(LOCK.read_bytes())
    return path


def _tell(outcome: Outcome, taken: Mapping[str, float], seconds: float) -> None:
    """Sum up, and repeat what a stage warned of: nobody reads a log that is not named."""
    restored = sum(outcome.done.values()) - len(taken.keys() & outcome.done.keys())
    unchanged = len(outcome.done) - sum(outcome.done.values())
    parts = [f"{len(taken)} run", f"{restored} from DVC's cache", f"{unchanged} unchanged"]
    parts += [f"{len(outcome.failed)} failed, {len(outcome.left)} not begun"] * bool(outcome.failed)
    print(
        f"{clock(seconds)} for {len(outcome.done) + len(outcome.failed) + len(outcome.left)} stages: {', '.join(parts)}"
    )
    for name in taken:
        for line in re.findall(r"^warning: .+$", _logged(name), re.MULTILINE):
            print(f"{name}: {line}", file=sys.stderr)


def _logged(name: str) -> str:
    log = log_of(name)
    return log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""


def _why(name: str, error: Exception) -> str:
    """One line: what the stage itself said, else what DVC says."""
    said = re.findall(r"^error: (.+)$", _logged(name), re.MULTILINE)
    reason = said[-1] if said else f"{name}: {' '.join(str(error).split())}"
    return f"{reason} (its output: {log_of(name)})" if _logged(name) else reason


def _prove() -> None:
    """Have DVC itself look at everything once more: nothing may be left to do."""
    if subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], check=False).returncode:
        sys.exit("error: `dvc repro` finds something that this run has not brought up to date: see above")


@contextmanager
def _alone() -> Iterator[None]:
    """Refuse to start beside another one in the same project."""
    BUSY.parent.mkdir(parents=True, exist_ok=True)
    with BUSY.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("error: another `make repro` is at work in this project: wait for its end, or stop it by Ctrl-C")
        yield


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """End as by Ctrl-C also where the terminal is closed or the machine shuts down."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What the caller has had ignored, such as `nohup` a closed terminal, stays so.
    before = {kind: handler for kind in kinds if (handler := signal.getsignal(kind)) != signal.SIG_IGN}
    for kind in before:
        signal.signal(kind, interrupt)
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def _console() -> Iterator[Console]:
    """The terminal for the board alone: what DVC has to say goes to a log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log_of(DVC_SAYS).open("wb") as log, os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding) as terminal:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield Console(file=terminal)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, saved in zip((1, 2), kept, strict=True):
                os.dup2(saved, number)
                os.close(saved)


if __name__ == "__main__":
    main()
