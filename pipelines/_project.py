"""The project as DVC sees it, for a process that runs several stages at a time: DVC's own code under one lock."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from pipelines._lock import LOCK, put_entry
from redoubt.core.errors import RedoubtError
from redoubt.core.store import whole_file


class ProjectError(RedoubtError):
    """A project that DVC cannot read."""


class Command(Protocol):
    """Runs a stage's command."""

    def __call__(self, stage: Any, dry: bool = False, run_env: Mapping[str, str] | None = None) -> None:
        """Return once it has succeeded; raise DVC's `StageCmdFailedError` otherwise."""


class _SharedLock:
    """DVC's lock on the project, held by one thread at a time; DVC lets go of it while a command runs."""

    def __init__(self, inner: Any) -> None:
        self.inner, self._threads, self.stopped = inner, threading.Lock(), False

    def lock(self) -> None:
        """Wait for the other threads, then for other DVC processes, however long they take."""
        from dvc.lock import LockError

        self._threads.acquire()
        while True:
            try:
                return self.inner.lock()
            except LockError:
                if self.stopped:
                    self._threads.release()
                    raise

    def unlock(self) -> None:
        """Let the next one in."""
        self.inner.unlock()
        self._threads.release()

    @property
    def is_locked(self) -> bool:
        """As DVC asks."""
        return self.inner.is_locked

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(self, *_: object) -> None:
        self.unlock()


class Project:
    """The stages of dvc.yaml, each done by DVC's own `reproduce`.

    `dvc repro` reads dvc.lock anew after every stage and has its slow YAML library rewrite the whole file: 4 s per
    stage. Here the stages are read once, and the lock gets the one entry that changed, in the bytes that DVC writes.
    """

    def __init__(self, lock: Path) -> None:
        """Read dvc.yaml and the lock in the current folder; `opened` does it."""
        from dvc.repo import Repo

        self._lock, self._repo = lock, Repo()
        self._repo.lock = self._shared = _SharedLock(self._repo.lock)
        with self._shared, _explained():
            graph = self._repo.index.graph
        # DVC forgets what it has read whenever it lets go of the lock, and another thread may be reading just then.
        self._repo._reset = lambda: None
        self._stages = {stage.addressing: stage for stage in self._repo.index.stages}
        self._upstream = {stage.addressing: list(graph.successors(stage)) for stage in graph}
        self._order = [
            each.addressing for each in self._repo.index.stages if each.addressing == getattr(each, "name", "")
        ]

    @property
    def needs(self) -> dict[str, set[str]]:
        """The stages whose outputs each stage reads."""
        return {name: {stage.addressing for stage in self._upstream[name]} for name in self._stages}

    def reproduce(self, name: str) -> bool:
        """Bring one stage up to date: skip it, restore it from the run cache, or run it.

        Returns:
            Whether it had changed.
        """
        stage = self._stages[name]
        with self._shared, self._repo.scm_context(quiet=True):
            changed = stage.reproduce(upstream=self._upstream[name]) is not None
            if changed and name in self._order:
                self._note(stage)
            elif changed:
                stage.dump(update_pipeline=False)  # Of a file beside the data, as `dvc add` makes it.
        return changed

    def stop(self) -> None:
        """Wait for no other DVC process any longer."""
        self._shared.stopped = True

    def close(self) -> None:
        """Let go of DVC's own files."""
        self._repo.close()

    def _note(self, stage: Any) -> None:
        from dvc.stage.serialize import to_lockfile
        from dvc.utils.serialize import dumps_yaml

        entry: str = dumps_yaml({"stages": to_lockfile(stage)})
        before = self._lock.read_bytes() if self._lock.is_file() else b""
        with whole_file(self._lock) as temporary:
            temporary.write_bytes(put_entry(before, entry.removeprefix("stages:\n").encode(), self._order))


@contextmanager
def opened(run_command: Command, settings: Mapping[str, Any], lock: Path = LOCK) -> Iterator[Project]:
    """Open the project in the current folder.

    Args:
        run_command: takes the place of DVC's own.
        settings: take the place of those in params.yaml.
        lock: takes the place of dvc.lock.

    Raises:
        ProjectError: DVC cannot read dvc.yaml or the lock.
    """
    from dvc.dependency import param
    from dvc.dvcfile import ProjectFile
    from dvc.stage import run
    from dvc.utils import serialize

    load_path = _reading(settings, serialize.load_path)
    with (
        _replaced(run, "cmd_run", run_command),
        _replaced(serialize, "load_path", load_path),
        _replaced(param, "load_path", load_path),
        _replaced(ProjectFile, "_lockfile", property(partial(_lock_file, lock.resolve()))),
    ):
        project = Project(lock)
        try:
            yield project
        finally:
            project.close()


@contextmanager
def _replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    before = place.__dict__[name]
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


def _reading(settings: Mapping[str, Any], load: Callable[..., Any]) -> Callable[..., Any]:
    """A function that reads files as DVC's does, but finds these settings in params.yaml."""

    def load_path(path: str, *args: Any, **options: Any) -> Any:
        read = load(path, *args, **options)
        return {**read, **settings} if Path(path).name == "params.yaml" else read

    return load_path


def _lock_file(path: Path, file: Any) -> Any:
    """What DVC reads a lock by."""
    from dvc.dvcfile import Lockfile

    class AnyLockfile(Lockfile):
        def _check_gitignored(self) -> None:
            """A run's own lock is ignored by git, and meant to be."""

    return AnyLockfile(file.repo, str(path))


@contextmanager
def _explained() -> Iterator[None]:
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise ProjectError(f"DVC: {' '.join(str(error).split())}; `dvc status` says more") from error
