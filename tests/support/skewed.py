"""Skewed features as tables have them, and networks whose first layers spread them out."""

import keras
import numpy as np

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Floats
from redoubt.data.prepare.scaling import Scaler, fit
from redoubt.models.networks import build
from redoubt.params.settings.networks import Linear, Mlp

ROWS = 600
_rng = np.random.default_rng(12)
SKEWED: dict[str, Floats] = {
    "money": _rng.lognormal(5, 2.0, ROWS).astype(np.float32),
    "mostly 0": np.where(_rng.random(ROWS) < 0.8, 0, _rng.lognormal(8, 1, ROWS)).astype(np.float32),
    "counts": _rng.lognormal(3, 1.2, ROWS).astype(int).astype(np.float32),
    "debts": -_rng.lognormal(5, 1.5, ROWS).astype(np.float32),
}
COLUMNS = (
    *(Column(name=name, kind="integer" if name == "counts" else "number") for name in SKEWED),
    Column(name="age", kind="number"),
    Column(name="colour", kind="category", categories=("red", "green")),
)
SCHEMA = Schema(
    task="loans", kind="classification", target="paid", columns=COLUMNS, shape=(len(SKEWED) + 3,), labels=("no", "yes")
)
NUMBER = SCHEMA.model_copy(update={"kind": "regression", "labels": ()})
_green = _rng.integers(2, size=ROWS)
X = np.stack([*SKEWED.values(), _rng.normal(40, 12, ROWS), 1 - _green, _green], axis=1).astype(np.float32)
Y = (np.log1p(X[:, 0]) + 0.1 * X[:, 4] + _rng.normal(0, 1, ROWS) > 9.0).astype(np.int64)


def scaler() -> Scaler:
    """Of all of these rows, with a curve for each skewed feature."""
    return fit(Batch(X, Y), SCHEMA, dict.fromkeys(SKEWED, "quantile"))


def network(schema: Schema = SCHEMA, units: tuple[int, ...] = (8,), seed: int = 1) -> keras.Model:
    """Untrained, of the given width."""
    model = Mlp(kind="mlp", units=units) if units else Linear(kind="linear")
    return build(model, schema, scaler(), seed)
