"""Progress of long work: a bar on the terminal, or small files for whoever started this process and draws the bars."""

import contextlib
import io
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

# Names the folder of the files; set by `pipelines.repro`, one folder per stage.
FOLDER = "REDOUBT_PROGRESS"
# Of files and of the board that reads them.
SECONDS = 0.25


def progress_bar(examples: Iterable[Any] | None = None, **options: Any) -> "tqdm[Any]":
    """Return a bar of tqdm, drawn by itself unless the variable `REDOUBT_PROGRESS` names a folder to write it to.

    Args:
        examples: to go through; None if the caller calls `update`.
        options: of `tqdm.tqdm`.
    """
    folder = os.environ.get(FOLDER)
    if folder is None:
        return tqdm(examples, **options)
    return _WrittenBar(examples, Path(folder), **options)


class _WrittenBar(tqdm):  # type: ignore[type-arg]
    """A bar whose state is a JSON file; nothing is drawn."""

    def __init__(self, examples: Iterable[Any] | None, folder: Path, **options: Any) -> None:
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        super().__init__(examples, file=io.StringIO(), mininterval=SECONDS, miniters=1, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write what a drawn bar would show; a full disk must not end the work that is shown."""
        state = {"done": self.n, "total": self.total, "unit": self.unit, "note": str(self.postfix or "")}
        new = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(state), encoding="utf-8")
            os.replace(new, self._path)
