"""Keras networks: the scaler is the first layer, logits (or a number in raw units) come out."""

from collections.abc import Iterator

import keras
import numpy as np

from redoubt.data.scaling import Scaler
from redoubt.params import Cnn, Linear, Mlp
from redoubt.tasks import Schema


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
    seeds = iter(np.random.SeedSequence(seed).generate_state(64).tolist())
    layers: list[keras.layers.Layer] = [
        keras.Input(schema.shape, name="x"),
        keras.layers.Normalization(mean=scaler.mean.tolist(), variance=np.square(scaler.std).tolist(), name="scaler"),
    ]
    if isinstance(model, Cnn):
        layers += _convolutions(model, seeds)
    elif schema.kind == "image":
        layers.append(keras.layers.Flatten(name="flatten"))
    if not isinstance(model, Linear):
        layers += _hidden(model.units, model.dropout, seeds)
    return keras.Sequential(layers + _head(model, schema, scaler, seeds), name=model.kind)


def _dense(units: int, seeds: Iterator[int], name: str, activation: str | None = None) -> keras.layers.Dense:
    kind = keras.initializers.HeNormal if activation == "relu" else keras.initializers.GlorotUniform
    return keras.layers.Dense(units, activation=activation, kernel_initializer=kind(seed=next(seeds)), name=name)


def _convolutions(model: Cnn, seeds: Iterator[int]) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    for index, filters in enumerate(model.filters):
        layers.append(
            keras.layers.Conv2D(
                filters,
                model.kernel,
                strides=2 if model.pooling == "stride" else 1,
                padding="same",
                activation="relu",
                kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
                name=f"convolution_{index}",
            )
        )
        if model.pooling == "max":
            layers.append(keras.layers.MaxPooling2D(2, name=f"pooling_{index}"))
    return [*layers, keras.layers.Flatten(name="flatten")]


def _hidden(units: tuple[int, ...], dropout: float, seeds: Iterator[int]) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    for index, width in enumerate(units):
        layers.append(_dense(width, seeds, f"hidden_{index}", "relu"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, seed=next(seeds), name=f"dropout_{index}"))
    return layers


def _head(model: Linear | Mlp | Cnn, schema: Schema, scaler: Scaler, seeds: Iterator[int]) -> list[keras.layers.Layer]:
    if schema.kind == "regression":
        unscale = keras.layers.Rescaling(scaler.target_std, offset=scaler.target_mean, name="target_units")
        return [_dense(1, seeds, "value"), unscale]
    if isinstance(model, Linear) and schema.outputs == 2:
        # Logistic regression has one z; logits (-z/2, z/2) make softmax equal its sigmoid.
        sides = keras.layers.Dense(2, use_bias=False, trainable=False, name="two_sided")
        sides.build((None, 1))
        sides.set_weights([np.array([[-0.5, 0.5]], dtype=np.float32)])
        return [_dense(1, seeds, "z"), sides]
    return [_dense(schema.outputs, seeds, "logits")]
