from dataclasses import replace
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.bundle.schema import Schema
from redoubt.data.prepare.scaling import Scaler, fit
from redoubt.models.networks import build
from redoubt.params.settings.networks import Cnn, Linear, Mlp
from tests.support.tiny import IMAGE, NUMBER, SCHEMAS, TABLE, rows

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
    "normalized-mlp": (MLP.model_copy(update={"normalize": True}), TABLE),
    "normalized-cnn": (CNN.model_copy(update={"normalize": True}), IMAGE),
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


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    one, again = ([each.tobytes() for each in made(name).get_weights()] for _ in range(2))
    assert one == again


@pytest.mark.parametrize("model", [MLP, CNN], ids=["mlp", "cnn"])
def test_new_layers_take_no_draws_from_the_others(model: Mlp | Cnn) -> None:
    """Networks that were built before there were any keep their weights."""
    update = {"normalize": True} | ({"contrast": ((0.3, 0.7),)} if model is CNN else {})
    plain, changed = (
        build(each, SCHEMAS[IMAGE], scaler_of(IMAGE), 1) for each in (model, model.model_copy(update=update))
    )
    layers = [layer for layer in plain.layers if layer.weights]
    assert len(layers) >= 3
    for layer in layers:
        assert all(
            np.array_equal(a, b) for a, b in zip(layer.weights, changed.get_layer(layer.name).weights, strict=True)
        )


@pytest.mark.parametrize(("name", "relus"), [("normalized-mlp", 2), ("normalized-cnn", 3)])
def test_batches_are_normalized_before_each_relu(name: str, relus: int) -> None:
    layers = made(name).layers
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds.count("ReLU") == kinds.count("BatchNormalization") == relus
    for before, layer, after in zip(layers, layers[1:], layers[2:], strict=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            assert before.activation is keras.activations.linear
            assert isinstance(after, keras.layers.ReLU)
    assert layers[-1].activation is keras.activations.linear


BLACK, WHITE = 0.3, 0.7


def contrasted() -> keras.Model:
    return build(CNN.model_copy(update={"contrast": ((BLACK, WHITE),)}), SCHEMAS[IMAGE], scaler_of(IMAGE), 1)


def test_pixels_beyond_black_and_white_are_black_and_white_and_linear_in_between() -> None:
    network = contrasted()
    stretched = keras.Model(network.inputs[0], network.get_layer("black_to_white").output)
    pixels = np.float32([0.0, 0.1, 0.3, 0.4, 0.5, 0.65, 0.7, 0.9, 1.0])
    x = np.zeros((1, 6, 6, 1), np.float32)
    x.reshape(-1)[: len(pixels)] = pixels
    found = stretched(x).numpy().reshape(-1)[: len(pixels)]
    assert np.allclose(found, [0, 0, 0, 0.25, 0.5, 0.875, 1, 1, 1], atol=1e-6)
    assert found[1] == 0


def test_a_perturbation_that_leaves_pixels_on_their_side_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 1.0], (20, 6, 6, 1)).astype(np.float32)
    toward = np.where(x == 0, 1, -1)
    near = (x + toward * rng.uniform(0, 0.29, x.shape)).astype(np.float32)
    far = (x + 0.5 * toward).astype(np.float32)
    network, plain = contrasted(), made("cnn")
    assert np.array_equal(network(near), network(x))
    assert not np.allclose(network(far), network(x), atol=1e-3)
    assert not np.allclose(plain(near), plain(x), atol=1e-3)


def test_of_several_ramps_each_is_a_channel() -> None:
    colour, ramps = SCHEMAS[IMAGE].model_copy(update={"shape": (6, 6, 3)}), ((0.2, 0.4), (0.5, 1.0))
    scaler = replace(scaler_of(IMAGE), mean=np.float32([0.1, 0.2, 0.3]), std=np.float32([1, 2, 3]))
    network = build(CNN.model_copy(update={"contrast": ramps}), colour, scaler, 1)
    x = np.random.default_rng(0).random((5, 6, 6, 3)).astype(np.float32)
    stretched, scaled = (
        keras.Model(network.inputs[0], network.get_layer(name).output)(x).numpy()
        for name in ("black_to_white", "scaler")
    )
    expected = np.concatenate([np.clip((x - low) / (high - low), 0, 1) for low, high in ramps], axis=-1)
    assert np.allclose(stretched, expected, atol=1e-5)
    assert np.allclose(scaled, (expected - [0.1, 0.2, 0.3] * 2) / ([1, 2, 3] * 2), atol=1e-5)
    assert len(network.get_layer("contrast").trainable_weights) == 0


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
