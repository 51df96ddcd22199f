"""One run beside those of the pipeline, with files from anywhere: an audit of somebody's own model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redoubt.runs import RunRecord
from redoubt.tracking.deadline import Progress, bounded
from redoubt.tracking.redaction import shown
from redoubt.tracking.sync import open_mirror
from redoubt.tracking.uri import store_uri


@dataclass(frozen=True)
class Kept:
    """Where a run is.

    Attributes:
        uri: of the store, without user, password and query.
        run: its id.
        new: whether it had to be made; an audit that came to the same is there once.
    """

    uri: str
    run: str
    new: bool


def keep_run(record: RunRecord, files: Sequence[Path]) -> Kept:
    """Record a run in the store of the current folder's project.

    Args:
        record: of the run.
        files: to attach.

    Raises:
        TrackingError: the store cannot be used.
    """
    root = Path.cwd()
    uri = store_uri(root)

    def work(progress: Progress) -> Kept:
        with open_mirror(root, uri, progress) as mirror:
            run, new = mirror.keep(record, files)
        return Kept(shown(uri), run, new)

    return bounded(work, uri, Progress(1))
