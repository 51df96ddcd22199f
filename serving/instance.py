"""A folder for one running instance, whatever its number of processes: its metrics, and the champions it served.

BentoML would keep the metrics of every instance in one folder of its home, and each start would empty it for all.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache, partial
from pathlib import Path

import click

METRICS = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "redoubt-"
# Seconds after which a process that died is noticed and started again at the latest; BentoML takes 10.
CHECK = 2.0
# Bytes that must be free.
ROOM = 16 * 2**20


def claim() -> None:
    """Give the instance that `bentoml serve` is about to start a folder of its own; do nothing in any other process.

    Raises:
        SystemExit: it cannot be made, the disk is full perhaps; one sentence says so.
    """
    command = click.get_current_context(silent=True)
    if command is None or command.info_name != "serve":
        return
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.utils import circus

    try:
        metrics = Path(_made()) / "metrics"
        metrics.mkdir()
        # Where there is no room for them, a write to the metrics would later end the process without a word.
        with (metrics.parent / "room").open("wb") as room:
            os.posix_fallocate(room.fileno(), 0, ROOM)
        (metrics.parent / "room").unlink()
    except OSError as error:
        raise SystemExit(
            f"error: no folder can be made in {tempfile.gettempdir()} ({error.strerror}): free some space there, or"
            " name another folder by TMPDIR"
        ) from None
    # Its processes are told of it by the variable METRICS.
    BentoMLContainer.prometheus_multiproc_dir.set(str(metrics))
    circus.create_standalone_arbiter = partial(circus.create_standalone_arbiter, check_delay=CHECK)


@cache
def folder() -> Path:
    """The instance's own folder; in a process that belongs to none a temporary one."""
    metrics = Path(os.environ.get(METRICS, "/"))
    return metrics.parent if metrics.parent.name.startswith(PREFIX) else Path(_made())


def _made() -> str:
    made = tempfile.mkdtemp(prefix=PREFIX)
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(made, ignore_errors=True) if os.getpid() == owner else None)
    return made
