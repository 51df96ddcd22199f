"""What can be attacked: a bundle folder, a `.keras` file or the URL of a service, opened as one thing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from redoubt.attacks.problem import Outputs, of_callable, of_network
from redoubt.attacks.query import Oracle
from redoubt.bundle.guarded_model import GuardedModel
from redoubt.bundle.io import digest
from redoubt.bundle.schema import Schema
from redoubt.errors import RedoubtError
from redoubt.scenarios.endpoint import Endpoint
from redoubt.targets.network_file import of_bundle, open_network
from redoubt.types import PIXELS, Bounds

SCHEMES = ("http://", "https://")


class TargetError(RedoubtError):
    """Nothing that can be attacked; the message says what can."""


@dataclass(frozen=True, eq=False)
class Target:
    """Something attackable.

    Attributes:
        said: as it was named on the command line.
        kind: of three.
        outputs: logits or values, as attacks want them.
        shape: of one input; None where any size will do.
        labels: class names; empty if it answers a number.
        bounds: the box inputs live in and the unit of eps; may be too narrow for some rows.
        digest: of the content attacked; empty for a service, whose content nobody sees.
        task: that it was made for, if it says so.
        network: of a bundle or a file.
        guarded: of a bundle.
        oracle: of a service; counts its answers.
        endpoint: of a service; holds its connection.
        inputs: names of a table's network inputs, if they are known.
        schema: of the task, if it is known.
        folder: of the bundle, also of one that a service serves.
    """

    said: str
    kind: Literal["bundle", "network", "service"]
    outputs: Outputs
    shape: tuple[int | None, ...]
    labels: tuple[str, ...]
    bounds: Bounds
    digest: str
    task: str | None = None
    network: keras.Model | None = None
    guarded: GuardedModel | None = None
    oracle: Oracle | None = None
    endpoint: Endpoint | None = None
    inputs: tuple[str, ...] = ()
    schema: Schema | None = None
    folder: Path | None = None

    @property
    def is_classification(self) -> bool:
        """Whether it answers classes; else a number."""
        return bool(self.labels)

    @property
    def width(self) -> int:
        """Outputs per example: one per class, or 1 for a number."""
        return len(self.labels) if self.is_classification else 1

    def close(self) -> None:
        """Let go of a service."""
        if self.endpoint is not None:
            self.endpoint.__exit__()

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether inputs of a shape are what it takes."""
        sides = zip(self.shape, shape, strict=False)
        return len(self.shape) == len(shape) and all(mine in (None, theirs) for mine, theirs in sides)


def open_target(said: str, *, bounds: tuple[float, float] | None, task: str | None, bundle: Path | None) -> Target:
    """Open what the command line names.

    Args:
        said: a folder, a file or a URL.
        bounds: smallest and largest input of a `.keras` file; [0, 1] if None.
        task: that a service is asked for.
        bundle: folder of the model that a service serves; models/TASK/champion if None.

    Raises:
        TargetError: it is nothing of that, or an option has no meaning for it.
        BundleError: a folder that is no whole bundle.
    """
    service, path = said.startswith(SCHEMES), Path(said)
    if bundle is not None and not service:
        raise TargetError(f"--bundle tells what a URL serves; '{said}' is none: leave it out")
    if bounds is not None and path.suffix != ".keras":
        raise TargetError(f"--bounds is for .keras files; '{said}' has its own: leave it out")
    if service:
        return _service(said, task, bundle)
    if (path / "saved_model.pb").is_file():
        raise TargetError(f"'{said}' is a SavedModel of TensorFlow; save the Keras model: model.save('model.keras')")
    if path.is_dir():
        return _bundle(path)
    if path.suffix == ".keras" and path.is_file():
        return _network(path, bounds)
    found = "is no .keras file" if path.exists() else "does not exist"
    raise TargetError(f"'{said}' {found}; give a bundle folder, a .keras file or a URL such as http://HOST:3000")


def _bundle(folder: Path) -> Target:
    guarded = GuardedModel.load(folder)
    network = of_bundle(folder)
    schema = guarded.schema
    return Target(
        said=str(folder),
        kind="bundle",
        outputs=of_network(network),
        shape=schema.shape,
        labels=schema.labels,
        bounds=bounds_of(guarded),
        digest=guarded.digest,
        task=schema.task,
        network=network,
        guarded=guarded,
        inputs=tuple(schema.input_names),
        schema=schema,
        folder=folder,
    )


def _network(path: Path, bounds: tuple[float, float] | None) -> Target:
    network = open_network(path)
    low, high = bounds or (0.0, 1.0)
    if not low < high:
        raise TargetError(f"--bounds are {low:g} {high:g}; the first must be below the second")
    width = network.output_shape[-1]
    return Target(
        said=str(path),
        kind="network",
        outputs=of_network(network),
        shape=tuple(network.input_shape[1:]),
        labels=tuple(map(str, range(width))) if width > 1 else (),
        bounds=Bounds(np.full(1, low, np.float32), np.full(1, high, np.float32), np.ones(1, np.float32)),
        digest=digest(path.read_bytes()),
        network=network,
    )


def _service(url: str, task: str | None, bundle: Path | None) -> Target:
    if task is None and bundle is None:
        raise TargetError(f"{url} serves more than one task: say which with --task NAME")
    folder = bundle or Path("models", str(task), "champion")
    if not folder.is_dir():
        raise TargetError(f"{folder} is no folder; give that of the model that {url} serves with --bundle FOLDER")
    guarded = GuardedModel.load(folder)
    schema = guarded.schema
    if task not in (None, schema.task):
        raise TargetError(f"{folder} is of task '{schema.task}', not '{task}'")
    endpoint = Endpoint(url, schema)
    oracle = Oracle(endpoint)
    return Target(
        said=url,
        kind="service",
        outputs=of_callable(oracle, schema.outputs),
        shape=schema.shape,
        labels=schema.labels,
        bounds=bounds_of(guarded),
        digest="",
        task=schema.task,
        oracle=oracle,
        endpoint=endpoint,
        inputs=tuple(schema.input_names),
        schema=schema,
        folder=folder,
    )


def bounds_of(guarded: GuardedModel) -> Bounds:
    """The guard of a table holds the box and the standard deviations of its training set."""
    guard = guarded.guard
    if guard.kind == "image":
        return PIXELS
    lower, upper, scale = (np.array(side, np.float32) for side in (guard.lower, guard.upper, guard.scale))
    return Bounds(lower, upper, scale, guarded.schema.integer, **guarded.schema.directions)
