"""Small networks for handwritten digits, which several studies attack, harden and press smaller."""

import keras

from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Floats
from redoubt.data.prepare import scaling
from redoubt.models.networks import build
from redoubt.params.settings.networks import Cnn, Mlp
from redoubt.studies.given import Digits
from redoubt.training.fit import Plan, compile_network, fit, on_rows

CNN = Cnn(kind="cnn", filters=(8, 16), units=(64,), kernel=3, pooling="stride")
MLP = Mlp(kind="mlp", units=(64,))
RATE = 3e-3
HELD_OUT = 5


def schema_of(x: Floats, classes: int = 10) -> Schema:
    """Pictures of that shape, digits as labels."""
    labels = tuple(str(digit) for digit in range(classes))
    return Schema(task="digits", kind="image", target="digit", shape=x.shape[1:], labels=labels)


def new_network(model: Cnn | Mlp, x: Floats, seed: int, classes: int = 10) -> keras.Model:
    """An untrained network, its scaler fitted to the training pictures x."""
    schema = schema_of(x, classes)
    return build(model, schema, scaling.fit(Batch(x, x), schema), seed)


def learn(network: keras.Model, train: Batch, epochs: int, batch_size: int, seed: int) -> keras.Model:
    """Train in place by Adam; every fifth row is kept back to choose the epoch."""
    learning, watching = parts(train)
    plan = Plan(epochs=epochs, batch_size=batch_size, learning_rate=RATE, decay=True, seed=seed)
    compile_network(network, plan, len(learning), network.output_shape[-1])
    fit(network, network, learning, on_rows(network, watching), plan)
    return network


def parts(train: Batch) -> tuple[Batch, Batch]:
    """Rows to learn from, and every fifth row to choose by."""
    rows = range(len(train))
    kept = [row for row in rows if row % HELD_OUT]
    return _rows(train, kept), _rows(train, list(rows[::HELD_OUT]))


def first(digits: Digits, train: int, test: int) -> tuple[Batch, Batch]:
    """So many rows of each part, as many as there are."""
    return _rows(digits.train, list(range(min(train, len(digits.train))))), _rows(
        digits.test, list(range(min(test, len(digits.test))))
    )


def _rows(batch: Batch, rows: list[int]) -> Batch:
    return Batch(batch.x[rows], batch.y[rows])


def enlarged(batch: Batch, least: int = 16) -> Batch:
    """Pixels doubled until a side has `least`: what filters look at must be small beside a stroke."""
    x = batch.x
    while x.shape[1] < least:
        x = x.repeat(2, axis=1).repeat(2, axis=2)
    return Batch(x, batch.y)
