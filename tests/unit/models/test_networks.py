from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.data.scaling import Scaler, fit
from redoubt.models.networks import build
from redoubt.params import Cnn, Linear, Mlp
from redoubt.tasks import Schema
from tests.tiny import IMAGE, NUMBER, SCHEMAS, TABLE, rows

LINEAR, MLP = Linear(kind="linear"), Mlp(kind="mlp", units=(5, 4), dropout=0.3)
CNN = Cnn(kind="cnn", filters=(3, 2), units=(5,), dropout=0.3)
NETWORKS: dict[str, tuple[Linear | Mlp | Cnn, str]] = {
    "least-squares": (LINEAR, NUMBER),
    "mlp-regressor": (MLP, NUMBER),
    "logistic": (LINEAR, TABLE),
    "mlp-classifier": (MLP, TABLE),
    "softmax-of-pixels": (LINEAR, IMAGE),
    "mlp-of-pixels": (MLP, IMAGE),
    "cnn": (CNN, IMAGE),
    "cnn-by-strides": (CNN.model_copy(update={"pooling": "stride", "kernel": 4, "units": ()}), IMAGE),
}


def scaler_of(name: str) -> Scaler:
    return fit(rows(name, 50), SCHEMAS[name])


def made(name: str, seed: int = 1) -> keras.Model:
    model, task = NETWORKS[name]
    return build(model, SCHEMAS[task], scaler_of(task), seed)


@pytest.mark.parametrize("name", NETWORKS)
def test_raw_units_go_in_and_no_probabilities_come_out(name: str) -> None:
    network, schema = made(name), SCHEMAS[NETWORKS[name][1]]
    batch = rows(NETWORKS[name][1], 50)
    outputs = network(batch.x).numpy()
    assert (outputs.shape, outputs.dtype) == ((50, schema.outputs), np.float32)
    assert np.array_equal(outputs, network(batch.x).numpy()), "dropout is at work outside training"
    if schema.labels:
        assert (outputs < 0).any()
        assert not np.allclose(outputs.sum(axis=1), 1.0, atol=0.01)
    else:
        # Untrained answers are of the target's size already, since the head speaks its units.
        assert np.abs(outputs.mean() - batch.y.mean()) < 3 * batch.y.std()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_scaler_is_the_first_layer(name: str) -> None:
    task = NETWORKS[name][1]
    first, scaler, batch = made(name).layers[0], scaler_of(task), rows(task, 50)
    assert isinstance(first, keras.layers.Normalization)
    assert np.allclose(first(batch.x), (batch.x - scaler.mean) / scaler.std, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_seed_decides(name: str) -> None:
    x = rows(NETWORKS[name][1], 20).x
    first, again, other = (made(name, seed)(x, training=True).numpy() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_layers_start_from_different_draws() -> None:
    kernels = [layer.kernel for layer in made("mlp-classifier").layers if hasattr(layer, "kernel")]
    values = [np.asarray(kernel).ravel()[:8] for kernel in kernels]
    assert all(not np.allclose(a / a[0], b / b[0]) for a, b in pairwise(values))


def test_two_logits_of_the_logistic_network_are_its_sigmoid() -> None:
    network, x = made("logistic"), rows(TABLE, 50).x
    z = keras.Model(network.inputs[0], network.get_layer("z").output)(x).numpy()[:, 0]
    second = np.exp(network(x).numpy())
    assert np.allclose(second[:, 1] / second.sum(axis=1), 1 / (1 + np.exp(-z)), atol=1e-6)
    assert [tuple(v.shape) for v in network.trainable_variables] == [(4, 1), (1,)]


def test_three_classes_keep_three_logits() -> None:
    schema: Schema = SCHEMAS[TABLE].model_copy(update={"labels": ("a", "b", "c")})
    assert build(LINEAR, schema, scaler_of(TABLE), 1).output_shape == (None, 3)


@pytest.mark.parametrize("change", [{"filters": (2, 2, 2)}, {"filters": (2, 2, 2), "pooling": "stride"}])
def test_pooling_to_nothing_left_is_still_a_network(change: dict[str, Any]) -> None:
    task = IMAGE
    schema = SCHEMAS[task].model_copy(update={"shape": (8, 8, 1)})
    network = build(CNN.model_copy(update=change), schema, scaler_of(task), 1)
    assert network.output_shape == (None, 3)
