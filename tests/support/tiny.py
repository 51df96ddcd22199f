"""Tasks so small that their networks train in a second: pictures, records with a class, records with a number."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Bounds
from redoubt.data.prepare.scaling import Scaler, fit
from redoubt.params.settings.networks import Cnn, Linear, Mlp
from redoubt.params.settings.sections import ImageGuard, TableGuard

if TYPE_CHECKING:
    import keras

    from redoubt.attacks.core.criteria import Criterion
    from redoubt.bundle.model.guarded_model import GuardedModel

IMAGE, TABLE, NUMBER = "image", "table", "number"
NAMES = (IMAGE, TABLE, NUMBER)
COLUMNS = (
    Column(name="weight", kind="number"),
    Column(name="age", kind="number"),
    Column(name="colour", kind="category", categories=("red", "green")),
)
SCHEMAS = {
    IMAGE: Schema(task="bars", kind="image", target="place", shape=(6, 6, 1), labels=("top", "middle", "bottom")),
    TABLE: Schema(
        task="risk", kind="classification", target="risk", columns=COLUMNS, shape=(4,), labels=("high", "low")
    ),
    NUMBER: Schema(task="price", kind="regression", target="price", columns=COLUMNS, shape=(4,)),
}
MODELS: dict[str, Linear | Mlp | Cnn] = {
    IMAGE: Cnn(kind="cnn", filters=(4,), units=(8,)),
    TABLE: Mlp(kind="mlp", units=(8,)),
    NUMBER: Mlp(kind="mlp", units=(8,)),
}
TOLERANCE = 60.0
GUARDS: dict[str, ImageGuard | TableGuard] = {
    IMAGE: ImageGuard(median=2, bits=3, shrink=0.7, draws=2, false_positives=0.1),
    TABLE: TableGuard(bits=5, noise=0.1, draws=2, false_positives=0.1),
    NUMBER: TableGuard(bits=5, noise=0.1, draws=2, false_positives=0.1),
}


def rows(name: str, count: int, seed: int = 0) -> Batch:
    """Rows that a small network learns well, though not wholly."""
    rng = np.random.default_rng(seed)
    if name == IMAGE:
        place = rng.integers(3, size=count)
        x = rng.uniform(0.0, 0.3, (count, 6, 6, 1))
        x[np.arange(count), 2 * place] += 0.7
        x[np.arange(count), 2 * place + 1] += 0.4
        return Batch(np.clip(x, 0.0, 1.0).astype(np.float32), place.astype(np.int64))
    # Raw units of very different size, as tables have them.
    weight, age, green = rng.uniform(500, 4000, count), rng.uniform(0, 1, count), rng.integers(2, size=count)
    x = np.stack([weight, age, 1 - green, green], axis=1).astype(np.float32)
    value = 0.1 * weight + 200 * age + 50 * green
    return Batch(x, (value < 350).astype(np.int64) if name == TABLE else value.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Case:
    """A tiny task with its trained network."""

    name: str
    schema: Schema
    scaler: Scaler
    network: "keras.Model"
    test: Batch

    @property
    def bounds(self) -> Bounds:
        """The box of the training rows and of the test rows."""
        return self.scaler.bounds(self.schema).covering(self.test.x)

    @property
    def criterion(self) -> "Criterion":
        """What an attacker wants."""
        from redoubt.attacks.core.criteria import Tolerance, Untargeted

        return Untargeted() if self.schema.labels else Tolerance(TOLERANCE)


def train(name: str) -> Case:
    """Train the task's network for a second."""
    from redoubt.models.networks import build
    from redoubt.training.fit import Plan, compile_network, on_rows
    from redoubt.training.fit import fit as train_network

    schema, train, test = SCHEMAS[name], rows(name, 256), rows(name, 64, seed=1)
    scaler = fit(train, schema)
    network = build(MODELS[name], schema, scaler, seed=1)
    plan = Plan(epochs=12, batch_size=32, learning_rate=0.02)
    compile_network(network, plan, len(train), schema.outputs)
    train_network(network, network, train, on_rows(network, test), plan)
    return Case(name, schema, scaler, network, test)


@dataclass(frozen=True, eq=False)
class Guarded:
    """A tiny task behind its guard, and the bundle that holds both."""

    case: Case
    folder: Path
    model: "GuardedModel"


def guard(case: Case, folder: Path) -> Guarded:
    """Write a task's bundle, its detector calibrated on 300 rows of seed 2."""
    from redoubt.bundle.model.guarded_model import GuardedModel
    from redoubt.defenses.guards.guard import configure
    from redoubt.defenses.write_bundle import write_bundle

    config = configure(GUARDS[case.name], case.schema, case.scaler.bounds(case.schema), case.scaler.target_std)
    write_bundle(folder, case.network, case.schema, config, rows(case.name, 300, seed=2).x)
    return Guarded(case, folder, GuardedModel.load(folder))
