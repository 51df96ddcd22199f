"""The commands of stages that run side by side: each in a process group of its own, its output in a log of its own."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from pipelines._warm import WarmProcess, warm_up, words_of
from redoubt.core.store import read_json, remove, write_json
from redoubt.progress import FOLDER

LOGS, PROGRESS, RUNNING = Path(".redoubt/logs"), Path(".redoubt/progress"), Path(".redoubt/running")
# The first stages of a run import their libraries themselves: where no more have changed, that is sooner done.
FEW = 3
# How long a signal is given before the next, harder one.
PATIENCE = ((signal.SIGINT, 8.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))


class Commands:
    """Runs commands in place of DVC, which lets them write over each other on the terminal."""

    def __init__(self) -> None:
        """Begin with none; `taken` holds the seconds of those that succeeded."""
        self._running: dict[str, tuple[subprocess.Popen[bytes] | WarmProcess, float]] = {}
        self.taken: dict[str, float] = {}
        self._guard, self._stopped, self._begun = threading.Lock(), False, 0
        self._warm = False

    def __call__(self, stage: Any, dry: bool = False, run_env: Mapping[str, str] | None = None) -> None:
        """Run a stage's command; `pipelines._project` gives it to DVC.

        Raises:
            StageCmdFailedError: it failed, or everything is being stopped.
        """
        from dvc.stage.exceptions import StageCmdFailedError
        from dvc.stage.run import prepare_kwargs

        name, options = stage.addressing, prepare_kwargs(stage, run_env=run_env)
        options["env"] |= {FOLDER: str((PROGRESS / name).resolve())}
        remove(PROGRESS / name)
        log_of(name).parent.mkdir(parents=True, exist_ok=True)
        log_of(name).write_bytes(b"")
        for command in stage.cmd if isinstance(stage.cmd, list) else [stage.cmd]:
            if code := self._run(name, command, options):
                raise StageCmdFailedError(command, code)
        remove(PROGRESS / name)

    def _run(self, name: str, command: str, options: Mapping[str, Any]) -> int:
        with self._guard:
            if self._stopped:
                return 1
            process = self._start(command, options, log_of(name))
            self._running[name] = process, time.monotonic()
            note = RUNNING / f"{name}.json"
            write_json(note, {"process": process.pid, "since": psutil.Process(process.pid).create_time()})
        code = process.wait()
        with self._guard:
            seconds = time.monotonic() - self._running.pop(name)[1]
            if code == 0:
                self.taken[name] = seconds
        note.unlink(missing_ok=True)
        return code

    def _start(self, command: str, options: Mapping[str, Any], log: Path) -> subprocess.Popen[bytes] | WarmProcess:
        self._begun += 1
        env = options["env"]
        if self._warm and (words := words_of(command, env["DVC_STAGE"])):
            return WarmProcess(words, env, os.fspath(options["cwd"]), log)
        if self._begun == FEW:
            self._warm = warm_up()
        arguments = ["/bin/sh", "-c", command]
        with log.open("ab") as output:
            quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            return subprocess.Popen(arguments, **{**options, **quiet, "shell": False}, process_group=0)  # noqa: S603

    def running(self) -> dict[str, float]:
        """For how many seconds each command has been at work."""
        with self._guard:
            return {name: time.monotonic() - since for name, (_, since) in self._running.items()}

    def stop(self) -> None:
        """End what is running, by an interrupt if that is enough, and start nothing any more."""
        with self._guard:
            self._stopped, running = True, [process for process, _ in self._running.values()]
        for sent, patience in PATIENCE:
            for process in running:
                _signal(process.pid, sent)
            until = time.monotonic() + patience
            # Whoever interrupts once more has less patience.
            with contextlib.suppress(KeyboardInterrupt):
                while running and time.monotonic() < until:
                    time.sleep(0.05)
                    running = [process for process in running if process.poll() is None]


def log_of(name: str) -> Path:
    """Where a stage's output goes."""
    return LOGS / f"{name}.log"


def end_orphans() -> list[str]:
    """End the commands that a killed run left behind, so that none is at work on files that are about to be made.

    Returns:
        The names of their stages.
    """
    ended = []
    for note in sorted(RUNNING.glob("[!.]*.json")):
        with contextlib.suppress(psutil.Error, OSError, ValueError, KeyError):
            found = read_json(note)
            if psutil.Process(found["process"]).create_time() == found["since"]:
                _signal(found["process"], signal.SIGKILL)
                ended.append(note.stem)
        note.unlink(missing_ok=True)
    return ended


def _signal(group: int, sent: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sent)
