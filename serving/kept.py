"""Copies of the champions that this instance served, and which of them took an older one's place again."""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES

# Per task.
COPIES = 3
# What a champion's folder may hold besides its bundle.
ALONGSIDE = ("card.json", "example.json")


@dataclass(frozen=True)
class Rollback:
    """Which champion answers in place of the one in the folder.

    Attributes:
        left: digest of that one. Any other that takes its place in the folder ends the rollback.
        serve: digest of the copy that answers.
    """

    left: str
    serve: str


class Kept:
    """A folder of copies, shared by the instance's processes."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, made when there is something to keep."""
        self._copies, self._rollbacks = folder / "kept", folder / "rollbacks.json"

    def copy(self, task: str, digest: str) -> Path:
        """Where a champion's copy lies, if it was kept."""
        return self._copies / task / digest

    def keep(self, task: str, digest: str, bundle: Path) -> None:
        """Copy the champion that is served now, and forget those served longest ago.

        Args:
            task: whose.
            digest: of what is served; anything else that the folder may hold by now is not kept.
            bundle: where it lies.

        Raises:
            OSError: the disk is full, or the bundle is gone.
        """
        copy = self.copy(task, digest)
        if not copy.is_dir():
            part = copy.with_name(f".{uuid4().hex}.part")
            try:
                part.mkdir(parents=True)
                for name in [*BUNDLE_FILES, *ALONGSIDE]:
                    if name in BUNDLE_FILES or (bundle / name).is_file():
                        shutil.copyfile(bundle / name, part / name)
                # Another process may have been quicker.
                if digest_folder(part, BUNDLE_FILES) == digest and not copy.is_dir():
                    part.rename(copy)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        if copy.is_dir():
            os.utime(copy)
        for old in self._by_age(task)[COPIES:]:
            shutil.rmtree(old, ignore_errors=True)

    def before(self, task: str, digest: str) -> str | None:
        """The champion that was served last before this one, if it was kept."""
        others = [copy.name for copy in self._by_age(task) if copy.name != digest]
        return others[0] if others else None

    def _by_age(self, task: str) -> list[Path]:
        found = []
        for copy in self._copies.glob(f"{task}/[!.]*"):
            with suppress(FileNotFoundError):
                found.append((copy.stat().st_mtime_ns, copy))
        return [copy for _, copy in sorted(found, reverse=True)]

    def rollbacks(self) -> dict[str, Rollback]:
        """Those in force, by task."""
        try:
            said = json.loads(self._rollbacks.read_bytes())
        except FileNotFoundError:
            return {}
        return {task: Rollback(**each) for task, each in said.items()}

    def mark(self, task: str, rollback: Rollback | None) -> None:
        """Put one in force, or end it; every process of the instance sees it by its next look.

        Raises:
            OSError: the disk is full.
        """
        marks = {each: vars(rollback) for each, rollback in self.rollbacks().items() if each != task}
        if rollback is not None:
            marks[task] = vars(rollback)
        part = self._rollbacks.with_name(f".{uuid4().hex}.part")
        part.write_text(json.dumps(marks))
        part.replace(self._rollbacks)
