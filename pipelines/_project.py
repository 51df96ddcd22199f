"""The project as DVC sees it, for a process that runs several stages at a time: DVC's own code under one lock."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from pipelines._lock import LOCK, put_entry
from redoubt.data.store import whole_file


class ProjectError(ValueError):
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

    def __init__(self, run_command: Command, settings: Mapping[str, Any], lock: Path = LOCK) -> None:
        """Open the project in the current folder.

        Args:
            run_command: takes the place of DVC's own.
            settings: take the place of those in params.yaml.
            lock: takes the place of dvc.lock.

        Raises:
            ProjectError: DVC cannot read dvc.yaml or the lock.
        """
        from dvc.repo import Repo
        from dvc.stage import run as running

        self.lock = lock
        if settings:
            _override(settings)
        if lock != LOCK:
            _keep_elsewhere(lock)
        running.cmd_run = run_command
        self._repo = Repo()
        self._repo.lock = self._shared = _SharedLock(self._repo.lock)
        with self._shared, _explained():
            graph = self._repo.index.graph
        self._stages = {stage.addressing: stage for stage in graph}
        self._upstream = {stage.addressing: list(graph.successors(stage)) for stage in graph}
        self._order = [stage.addressing for stage in self._repo.index.stages]

    @property
    def needs(self) -> dict[str, set[str]]:
        """The stages whose outputs each stage reads, in the order of dvc.yaml."""
        return {name: {stage.addressing for stage in self._upstream[name]} for name in self._order}

    def reproduce(self, name: str) -> bool:
        """Bring one stage up to date: skip it, restore it from the run cache, or run it.

        Returns:
            Whether it had changed.
        """
        stage = self._stages[name]
        with self._shared, self._repo.scm_context(quiet=True):
            changed = stage.reproduce(upstream=self._upstream[name]) is not None
            if changed:
                self._note(stage)
        return changed

    def stop(self) -> None:
        """Wait for no other DVC process any longer."""
        self._shared.stopped = True

    def _note(self, stage: Any) -> None:
        from dvc.stage.serialize import to_lockfile
        from dvc.utils.serialize import dumps_yaml

        entry: str = dumps_yaml({"stages": to_lockfile(stage)})
        before = self.lock.read_bytes() if self.lock.is_file() else b""
        with whole_file(self.lock) as temporary:
            temporary.write_bytes(put_entry(before, entry.removeprefix("stages:\n").encode(), self._order))


@contextmanager
def _explained() -> Iterator[None]:
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise ProjectError(f"DVC: {' '.join(str(error).split())}; `dvc status` says more") from error


def _override(settings: Mapping[str, Any]) -> None:
    """Have DVC read other values in params.yaml than those that are there."""
    from dvc.dependency import param
    from dvc.utils import serialize

    load: Callable[..., Any] = serialize.load_path

    def load_path(path: str, *args: Any, **options: Any) -> Any:
        read = load(path, *args, **options)
        return {**read, **settings} if Path(path).name == "params.yaml" else read

    serialize.load_path = param.load_path = load_path


def _keep_elsewhere(path: Path) -> None:
    """Have DVC read another lock than dvc.lock."""
    from dvc.dvcfile import Lockfile, ProjectFile

    class Elsewhere(Lockfile):
        def _check_gitignored(self) -> None:
            """It is ignored, and meant to be."""

    ProjectFile._lockfile = property(lambda file: Elsewhere(file.repo, str(path.resolve())))
