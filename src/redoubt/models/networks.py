"""Keras networks: the scaler is the first layer, logits (or a number in raw units) come out."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from redoubt.bundle.schema import Schema
from redoubt.data.prepare.scaling import Scaler
from redoubt.models.curved import curved, units
from redoubt.params.settings.networks import Cnn, Linear, Mlp
from redoubt.quiet import settle_keras

# Keras's .99 leaves the moving statistics behind where an epoch is a few hundred updates and eps rises.
MOMENTUM = 0.9
# Names of the layers that hold what is known of the training examples.
SCALER, TARGET_UNITS, CONTRAST = "scaler", "target_units", "contrast"


def build(model: Linear | Mlp | Cnn, schema: Schema, scaler: Scaler, seed: int) -> keras.Model:
    """Build an untrained network.

    Args:
        model: its kind and sizes.
        schema: gives the input shape and the number of outputs.
        scaler: statistics of the training rows, built in as the first layer.
        seed: of the initial weights and of dropout.

    Returns:
        A network from `(batch, *schema.shape)` in raw units to logits `(batch, classes)`, or for regression to
        values `(batch, 1)` in the target's units.
    """
    settle_keras()
    seeds = iter(np.random.SeedSequence(seed).generate_state(64).tolist())
    layers: list[keras.layers.Layer] = [keras.Input(schema.shape, name="x")]
    layers += scaling(model, scaler)
    if isinstance(model, Cnn):
        layers += _convolutions(model, seeds)
    elif schema.kind == "image":
        layers.append(keras.layers.Flatten(name="flatten"))
    if not isinstance(model, Linear):
        layers += _hidden(model, seeds)
    return keras.Sequential(layers + _head(model, schema, scaler, seeds), name=model.kind)


def scaling(model: Linear | Mlp | Cnn, scaler: Scaler) -> list[keras.layers.Layer]:
    """The first layers of a network, from raw units to unit variance; the last of them is named `SCALER`."""
    if scaler.curves:
        centre, width = units(scaler)
        first = keras.layers.Normalization(mean=centre.tolist(), variance=np.square(width).tolist(), name="units")
        return [first, *curved(scaler, SCALER)]
    ramps = model.contrast or () if isinstance(model, Cnn) else ()
    copies = max(1, len(ramps))
    mean, variance = np.tile(scaler.mean, copies), np.tile(np.square(scaler.std), copies)
    scaled = keras.layers.Normalization(mean=mean.tolist(), variance=variance.tolist(), name=SCALER)
    return [*_contrast(ramps, len(scaler.mean)), scaled]


def _contrast(ramps: Sequence[tuple[float, float]], channels: int) -> list[keras.layers.Layer]:
    if not ramps:
        return []
    gains = [1.0 / (white - black) for black, white in ramps]
    offsets = [-black * gain for gain, (black, _) in zip(gains, ramps, strict=True)]
    cap = keras.layers.ReLU(max_value=1.0, name="black_to_white")
    if len(ramps) == 1:
        return [keras.layers.Rescaling(gains[0], offset=offsets[0], name=CONTRAST), cap]
    stretch = keras.layers.Conv2D(channels * len(ramps), 1, trainable=False, name=CONTRAST)
    stretch.build((None, None, None, channels))
    kernel = np.kron(np.array(gains, np.float32), np.eye(channels, dtype=np.float32))
    stretch.set_weights([kernel[None, None], np.repeat(np.array(offsets, np.float32), channels)])
    return [stretch, cap]


def _dense(units: int, seeds: Iterator[int], name: str, activation: str | None = None) -> keras.layers.Dense:
    kind = keras.initializers.HeNormal if activation == "relu" else keras.initializers.GlorotUniform
    return keras.layers.Dense(units, activation=activation, kernel_initializer=kind(seed=next(seeds)), name=name)


def _convolutions(model: Cnn, seeds: Iterator[int]) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    for index, filters in enumerate(model.filters):
        convolution = keras.layers.Conv2D(
            filters,
            model.kernel,
            strides=2 if model.pooling == "stride" else 1,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
            name=f"convolution_{index}",
        )
        layers += _rectified(convolution, model.normalize)
        if model.pooling == "max":
            layers.append(keras.layers.MaxPooling2D(2, name=f"pooling_{index}"))
    return [*layers, keras.layers.Flatten(name="flatten")]


def _hidden(model: Mlp | Cnn, seeds: Iterator[int]) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    for index, width in enumerate(model.units):
        layers += _rectified(_dense(width, seeds, f"hidden_{index}", "relu"), model.normalize)
        if model.dropout:
            layers.append(keras.layers.Dropout(model.dropout, seed=next(seeds), name=f"dropout_{index}"))
    return layers


def _rectified(layer: keras.layers.Dense | keras.layers.Conv2D, normalize: bool) -> list[keras.layers.Layer]:
    """The layer with its ReLU, batch normalization between them if wanted."""
    if not normalize:
        return [layer]
    layer.activation = keras.activations.linear
    name = layer.name
    return [
        layer,
        keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm"),
        keras.layers.ReLU(name=f"{name}_relu"),
    ]


def _head(model: Linear | Mlp | Cnn, schema: Schema, scaler: Scaler, seeds: Iterator[int]) -> list[keras.layers.Layer]:
    if not schema.is_classification:
        unscale = keras.layers.Rescaling(scaler.target_std, offset=scaler.target_mean, name=TARGET_UNITS)
        return [_dense(1, seeds, "value"), unscale]
    if isinstance(model, Linear) and schema.outputs == 2:
        # Logistic regression has one z; logits (-z/2, z/2) make softmax equal its sigmoid.
        sides = keras.layers.Dense(2, use_bias=False, trainable=False, name="two_sided")
        sides.build((None, 1))
        sides.set_weights([np.array([[-0.5, 0.5]], dtype=np.float32)])
        return [_dense(1, seeds, "z"), sides]
    return [_dense(schema.outputs, seeds, "logits")]
