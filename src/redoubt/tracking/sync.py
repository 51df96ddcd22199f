"""Brings MLflow into line with what the stages recorded.

DVC decides what is run, and may restore a result without running anything. So no stage logs to MLflow: it writes
records, and `sync` brings MLflow into line with them as often as it is called.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redoubt.runs import read_records
from redoubt.tracking.client import connect
from redoubt.tracking.deadline import Progress, bounded
from redoubt.tracking.mirror import Mirror
from redoubt.tracking.redaction import redact, shown
from redoubt.tracking.uri import check, home, store_uri

LONGEST_ERROR = 5000


@dataclass(frozen=True)
class Summary:
    """What a sync found and did.

    Attributes:
        uri: of the tracking store, without user, password and query.
        experiments: the experiment's id per task.
        runs: runs that the records amount to, children included.
        new: of these, how many were not there before.
        models: new versions of registered models.
        waiting: records left out, since a file that they name is missing: their stage is not done.
    """

    uri: str
    experiments: dict[str, str]
    runs: int
    new: int
    models: int
    waiting: int


def sync(root: Path, uri: str | None = None) -> Summary:
    """Bring MLflow into line with `reports/*/records` and `models/*/champion`.

    May be called at any time and as often as one likes: a run that is there is left alone, one that was half logged
    is replaced, and one that another has taken the place of is tagged so.

    Args:
        root: the project's top folder.
        uri: of the tracking store; by default that of `store_uri`.

    Raises:
        RunRecordError: a record that cannot be read, or two that disagree.
        TrackingError: the store cannot be used.
    """
    root, uri = root.resolve(), uri or store_uri(root)
    known = read_records(root)
    records = [record for record in known if all((root / artifact).exists() for artifact in record.artifacts)]
    champions = [path.parent for path in sorted(root.glob("models/*/champion/card.json"))]

    def work(progress: Progress) -> Summary:
        with open_mirror(root, uri, progress) as mirror:
            new = sum(progress.count(mirror.record(record)) for record in records)
            tasks = {record.task: [each for each in records if each.task == record.task] for record in records}
            for task, its in tasks.items():
                mirror.describe(task, its)
            return Summary(
                uri=shown(uri),
                experiments={task: mirror.experiment(task) for task in tasks},
                runs=sum(1 + len(record.children) for record in records),
                new=new,
                models=sum(mirror.champion(folder) for folder in champions),
                waiting=len(known) - len(records),
            )

    return bounded(work, uri, Progress(len(records)))


def failed(task: str, stage: str, error: Exception) -> None:
    """Record that a stage failed, and why; the same failure again leaves the one record.

    Args:
        task: whose experiment shows it.
        stage: also the name of the run.
        error: its message becomes the run's description.

    Raises:
        TrackingError: the store cannot be used.
    """
    root, uri = Path.cwd(), store_uri(Path.cwd())
    reason = redact(f"{type(error).__name__}: {error}")[:LONGEST_ERROR]

    def work(progress: Progress) -> None:
        with open_mirror(root, uri, progress) as mirror:
            mirror.failure(task, stage, reason)

    bounded(work, uri, Progress(0))


@contextmanager
def open_mirror(root: Path, uri: str, progress: Progress) -> Iterator[Mirror]:
    """One mirror at a time: two that create the same database or the same run would get in each other's way."""
    lock = home(root) / ".redoubt" / "tracking.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        check(uri)
        client = connect(uri)
        progress.touch()
        yield Mirror(root, uri, client, progress)
