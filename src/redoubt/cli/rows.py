"""The examples to attack: an NPZ file of the user's, or the test examples of a task of the project."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.problem import AttackProblem, OfCallable
from redoubt.cli.recipe import examples_of
from redoubt.core.errors import RedoubtError
from redoubt.core.store import read_arrays
from redoubt.core.types import Batch
from redoubt.data.arrays import read_npz
from redoubt.data.prepare import missing
from redoubt.data.shared import dataset
from redoubt.data.splits import Split
from redoubt.targets.contract import Target, a_few, check_fits


class RowsError(RedoubtError):
    """No usable examples; the message says what came and what was expected."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs with their labels or values, and where they come from."""

    batch: Batch
    source: str

    @property
    def digest(self) -> str:
        """SHA-256 of the arrays."""
        return dataset.digest_arrays({"x": self.batch.x, "y": self.batch.y})


def load_rows(target: Target, data: Path | None, task: str | None, points: int | None) -> Rows:
    """The first `points` examples of a file, or else of the test split of a task; without those, what the zoo has.

    Args:
        target: says what fits, and its task where none is named.
        data: an NPZ file with `x` `(examples, ...)` in raw units and `y` `(examples,)`.
        task: whose test examples are attacked if there is no file.
        points: how many at most; None takes all.

    Raises:
        RowsError: no examples, or examples that do not fit the target.
        SourceError: a file that is none, or larger than the limits on data.
        DatasetError: the task has not been ingested.
    """
    name = task or target.task
    if data is None and name is None:
        raise RowsError("no examples: give an NPZ file with x and y by --data, or a task by --task")
    x, y, source = _from_file(data) if data is not None else _of_task(str(name), target)
    some = Rows(Batch(_inputs(x[:points], target), _targets(y[:points], target)), source)
    if not len(some.batch):
        raise RowsError(f"{source} holds no examples")
    return some


def examples_at(said: str, data: Path | None, task: str | None) -> tuple[Batch, tuple[str, ...]]:
    """A few of the examples, for a target that is not opened yet, and the numbers of their classes, as words.

    Raises:
        RowsError: no examples, or such as no target takes.
        SourceError: a file that is none, or larger than the limits on data.
        DatasetError: the task has not been ingested.
    """
    if data is None and task is None:
        raise RowsError("no examples: give an NPZ file with x and y by --data, or a task by --task")
    x, y, source = _from_file(data) if data is not None else _of_task(str(task), None)
    if not len(x):
        raise RowsError(f"{source} holds no examples")
    whole = np.issubdtype(y.dtype, np.number) and bool(np.all(y == np.round(y))) and y.min() >= 0
    labels = tuple(map(str, range(int(y.max()) + 1))) if whole else ()
    return a_few(Batch(_real(x), y)), labels


def check_answers(problem: AttackProblem, x: NDArray[np.float32]) -> None:
    """Refuse a network that has no finite answer for some of the examples: the first class would be taken for one.

    A service is not asked, whose queries are counted.

    Raises:
        RowsError: names the first such example.
    """
    if isinstance(problem.outputs, OfCallable):
        return
    finite = np.isfinite(problem.predict(x)).all(axis=1)
    if not finite.all():
        raise RowsError(
            f"the model outputs NaN or infinity for {int((~finite).sum())} of {len(x)} clean inputs, the first of them"
            f" example {int(finite.argmin())}: it has no class or value there; leave them out, or correct the model"
        )


def no_rows(target: Target) -> Rows:
    """For an attack that makes its own inputs."""
    shape = [side or 0 for side in target.shape or ()]
    return Rows(Batch(np.zeros((0, *shape), np.float32), np.zeros(0, np.int64)), "none")


def _from_file(path: Path) -> tuple[NDArray[Any], NDArray[Any], str]:
    stored = read_npz(path, ("x", "y"))
    x, y = stored["x"], stored["y"]
    if y.ndim == 2 and x.ndim and len(x) == len(y):
        fix = "y[:, 0]" if y.shape[1] == 1 else "y.argmax(axis=1) of one-hot classes, y[:, 0] of several values"
        raise RowsError(f"{path}: y has shape {y.shape}; expected one class or value each: {fix}")
    # Of two classes many have true and false, which are numbers to the audit too.
    y = y.astype(np.int64) if y.dtype == np.bool_ else y
    if y.ndim != 1 or not x.ndim or len(x) != len(y):
        raise RowsError(f"{path}: x has shape {x.shape} and y {y.shape}; expected (rows, ...) and (rows,)")
    return x, y, str(path)


def _of_task(task: str, target: Target | None) -> tuple[NDArray[Any], NDArray[Any], str]:
    if not Path("data/raw", task).exists():
        found = examples_of(None if target is None else target.folder, task)
        if found is not None:
            return found
    stored = dataset.load(Path("data/raw", task))
    own = None if target is None else target.schema
    schema = own if own and own.shape == stored.schema.shape else stored.schema
    path = Path("data/splits", f"{task}.npz")
    if not path.is_file():
        raise RowsError(f"{path}: no such file; run `dvc repro`, or give examples by --data")
    test = stored.batch.take(Split(**read_arrays(path)).test)
    x = missing.filled(test.x, missing.of_schema(schema))
    if np.isnan(x).any():
        raise RowsError(f"task '{task}' has empty cells that its own models alone fill in; give examples by --data")
    return x, test.y, f"test split of {task}"


def _inputs(x: NDArray[Any], target: Target) -> NDArray[np.float32]:
    check_fits(target.said, target.shape, x.shape[1:])
    return _real(x)


def _real(x: NDArray[Any]) -> NDArray[np.float32]:
    if not np.issubdtype(x.dtype, np.number) or np.issubdtype(x.dtype, np.complexfloating):
        raise RowsError(f"x holds {x.dtype}; expected real numbers in raw units")
    return x.astype(np.float32)


def _targets(y: NDArray[Any], target: Target) -> NDArray[Any]:
    if not np.issubdtype(y.dtype, np.number) or np.issubdtype(y.dtype, np.complexfloating):
        raise RowsError(
            f"y holds {y.dtype}; expected {'class numbers from 0' if target.is_classification else 'numbers'}"
        )
    if not target.is_classification:
        return y.astype(np.float32)
    if np.any(y != np.round(y)):
        raise RowsError(f"y holds {y[y != np.round(y)][0]:g}; expected class numbers 0..{len(target.labels) - 1}")
    return y.astype(np.int64)
