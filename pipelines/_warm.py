"""Stages that begin with their libraries imported: copies of one process that imported them once.

To import TensorFlow, pandas and scikit-learn takes seconds of a core, and most stages take little more.
"""

import multiprocessing
import os
import re
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

_COMMAND = re.compile(r'python -m (pipelines\.[a-z]\w*)( "\$DVC_STAGE")?')


def warm_up() -> bool:
    """Begin to import, in a process of its own that ends with this one.

    Returns:
        Whether it can be done: not where the path of the folder for temporary files is too long for a socket.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(["pipelines._libraries"])
    try:
        forkserver.ensure_running()
    except OSError:
        return False
    return True


def words_of(command: str, stage: str) -> list[str] | None:
    """The module that a command of dvc.yaml runs, and its arguments; None where it is not one of this project's."""
    found = _COMMAND.fullmatch(command)
    return [found[1], *[stage] * bool(found[2])] if found else None


class WarmProcess:
    """What `subprocess.Popen` offers, of a copy of the process that has imported the libraries.

    It leads a process group of its own. Call `warm_up` first.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str], folder: str, log: Path) -> None:
        """Begin.

        Args:
            words: a module and its arguments, as after `python -m`.
            env: added to the environment.
            folder: to work in.
            log: a file; the output is added at its end.
        """
        given = [*words], dict(env), folder, str(log.resolve())
        self._process = multiprocessing.get_context("forkserver").Process(target=_become, args=given)
        self._process.start()
        self._status: int | None = None
        self.pid: int = self._process.pid or 0
        # Until then a signal to its group would reach nobody.
        while self.poll() is None and os.getpgid(self.pid) != self.pid:
            time.sleep(0.001)

    def poll(self) -> int | None:
        """None while it is at work; its exit status is what `wait` returns."""
        ended = self._status is not None or wait([self._process.sentinel], 0)
        return 0 if ended else None

    def wait(self) -> int:
        """Wait for its end, in one thread alone; its exit status, negative if a signal ended it."""
        self._process.join()
        self._status = self._process.exitcode or 0
        return self._status


def _become(words: Sequence[str], env: Mapping[str, str], folder: str, log: str) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(env)
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    sys.argv = [*words]
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        # An interpreter that ends takes idle workers along; a process of multiprocessing waits for them, for minutes.
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
