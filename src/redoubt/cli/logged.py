"""Reads of a tracking store what was recorded of one model."""

from pathlib import Path
from typing import Any, NamedTuple

from redoubt.tracking.client import STORE_ERRORS, connect
from redoubt.tracking.hashes import hashes_of
from redoubt.tracking.redaction import redact
from redoubt.tracking.uri import TrackingError, check, store_uri

ROBUSTNESS = "robustness.json"


class LoggedRun(NamedTuple):
    """A run's name, its parameters with some of its tags, and its robustness.json, if it has one."""

    name: str
    settings: dict[str, Any]
    file: Path | None


def logged_run(run: str, folder: Path) -> LoggedRun:
    """What the store of this folder's project holds of a run.

    Args:
        run: its id.
        folder: where its file is put.

    Raises:
        TrackingError: the store cannot be used, or has no such run.
    """
    uri = store_uri(Path.cwd())
    check(uri)
    try:
        client = connect(uri)
        found = client.get_run(run)
        files = [each.path for each in client.list_artifacts(run) if each.path == ROBUSTNESS]
        path = Path(client.download_artifacts(run, ROBUSTNESS, str(folder))) if files else None
    except STORE_ERRORS as error:
        raise TrackingError(f"run {run}: {redact(str(error)).splitlines()[0]}") from None
    # By these two runs are told apart; they say on what they were measured, too.
    return LoggedRun(found.info.run_name, found.data.params | hashes_of(found.data.tags), path)
