"""Keras models as people hand them in: each is read for what it is, or refused in one sentence."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch
from redoubt.targets.contract import Access, Opening, Target
from redoubt.targets.keras_file import of_model, open_keras

L = keras.layers
R = np.random.default_rng(0)
TABLE, IMAGE = R.random((12, 4), np.float32), R.random((8, 6, 6, 1), np.float32)
CODES = np.round(9 * TABLE)


def opening(x: np.ndarray, **changes: Any) -> Opening:
    return Opening(Batch(x, np.arange(len(x)) % 3), ("a", "b", "c"), **changes)


def chain(*layers: Any, shape: tuple[int | None, ...] = (4,), **how: Any) -> keras.Model:
    return keras.Sequential([L.Input(shape, **how), *layers])


class Rounded(L.Layer):
    def call(self, x: Any) -> Any:
        return keras.ops.round(x)


def odd(x: Any) -> Any:
    return keras.ops.tanh(x) + x


def residual() -> keras.Model:
    i, d = L.Input((4,)), L.Dense(4, activation="relu")
    return keras.Model(i, L.Dense(3)(d(i) + 5.0 * i))


def negative() -> keras.Model:
    i = L.Input((4,))
    return keras.Model(i, keras.ops.negative(L.Dense(3)(i)))


def softmax_by_operation() -> keras.Model:
    i = L.Input((4,))
    return keras.Model(i, keras.ops.softmax(L.Dense(3)(i)))


def average() -> keras.Model:
    i = L.Input((4,))
    return keras.Model(i, L.Average()([L.Dense(3)(i), L.Dense(3)(i)]))


def open_sides() -> keras.Model:
    i = L.Input((None, None, 1))
    return keras.Model(i, L.Dense(3)(L.GlobalAveragePooling2D()(i)))


def nested(*last: Any) -> keras.Model:
    """A model that ends in a model that ends in a model, as with a head that was trained apart."""
    head = chain(L.Dense(5, activation="relu"), *last)
    i = L.Input((4,))
    return keras.Model(i, chain(L.Rescaling(2.0), head)(i))


def handed_on(units: int, activation: str) -> keras.Model:
    """With layers behind that change nothing, as mixed precision and older code have them."""
    last = [L.Identity(), L.Flatten(), L.Reshape((units,)), L.Activation("linear", dtype="float32")]
    return chain(L.Dense(units, activation=activation), *last)


def cut_sigmoid() -> keras.Model:
    i = L.Input((4,))
    return keras.Model(i, keras.ops.minimum(keras.ops.maximum(L.Dense(1, "sigmoid")(i), 0.01), 0.99))


def over_threshold() -> keras.Model:
    i = L.Input((4,))
    return keras.Model(i, keras.ops.cast(L.Dense(1)(i) > 0.1, "float32"))


READ: list[tuple[str, Callable[[], keras.Model], np.ndarray, Access, str]] = [
    ("plain", lambda: chain(L.Dense(3)), TABLE, "gradients and bounds", ""),
    (
        "softmax",
        lambda: chain(L.Dense(3, activation="softmax")),
        TABLE,
        "gradients and bounds",
        "softmax was unwrapped",
    ),
    ("softmax layer", lambda: chain(L.Dense(3), L.Softmax()), TABLE, "gradients and bounds", "softmax was unwrapped"),
    (
        "softmax activation",
        lambda: chain(L.Dense(3), L.Activation("softmax")),
        TABLE,
        "gradients and bounds",
        "unwrapped",
    ),
    ("softmax operation", softmax_by_operation, TABLE, "gradients and bounds", "softmax was unwrapped"),
    ("sigmoids", lambda: chain(L.Dense(3, activation="sigmoid")), TABLE, "gradients and bounds", "independently"),
    ("one sigmoid", lambda: chain(L.Dense(1, activation="sigmoid")), TABLE, "gradients and bounds", "as two: 0 for"),
    (
        "nested softmax",
        lambda: nested(L.Dense(3, activation="softmax")),
        TABLE,
        "gradients and bounds",
        "softmax was unwrapped",
    ),
    (
        "nested softmax layer",
        lambda: nested(L.Dense(3), L.Softmax()),
        TABLE,
        "gradients and bounds",
        "softmax was unwrapped",
    ),
    (
        "nested softmax twice",
        lambda: nested(L.Dense(3, "softmax"), L.Softmax()),
        TABLE,
        "gradients and bounds",
        "on which it stood",
    ),
    ("nested sigmoid", lambda: nested(L.Dense(1, "sigmoid")), TABLE, "gradients and bounds", "as two: 0 for"),
    ("softmax, handed on", lambda: handed_on(3, "softmax"), TABLE, "gradients and bounds", "softmax was unwrapped"),
    ("one sigmoid, handed on", lambda: handed_on(1, "sigmoid"), TABLE, "gradients and bounds", "as two: 0 for"),
    ("one hard sigmoid", lambda: chain(L.Dense(1, "hard_sigmoid")), TABLE, "gradients and bounds", "less a half"),
    ("one sigmoid, cut", cut_sigmoid, TABLE, "gradients and bounds", "less a half"),
    ("one that is over a threshold", over_threshold, TABLE, "scores", "less a half"),
    ("nested logits", lambda: nested(L.Dense(3)), TABLE, "gradients and bounds", ""),
    ("operator between", residual, TABLE, "gradients and bounds", ""),
    ("operator after", negative, TABLE, "gradients", ""),
    ("average of two", average, TABLE, "gradients and bounds", ""),
    ("open sides", open_sides, IMAGE, "gradients and bounds", ""),
    ("rounded", lambda: chain(L.Rescaling(9.0), Rounded(), L.Dense(3)), TABLE, "gradients", "straight through them"),
    ("looked up", lambda: chain(L.Embedding(10, 2), L.Flatten(), L.Dense(3)), CODES, "scores", "attacked by queries"),
    ("binned", lambda: chain(L.Discretization([0.2, 0.5]), L.Rescaling(1.0), L.Dense(3)), TABLE, "scores", "queries"),
    ("cast", lambda: chain(L.Rescaling(1.0), L.Dense(3), dtype="int32"), CODES, "gradients", "by whole numbers alone"),
]


@pytest.mark.parametrize(("make", "x", "access", "note"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_a_model_is_read_for_what_it_is(
    make: Callable[[], keras.Model], x: np.ndarray, access: Access, note: str
) -> None:
    network = make()
    found: Target = of_model(network, "model", opening(x))
    assert found.access == access
    assert note in " ".join(found.notes)
    own = network(x, training=False).numpy()
    chosen = own.argmax(axis=1) if own.shape[1] > 1 else (own[:, 0] > 0.5).astype(int)
    assert np.array_equal(found.predict(x).argmax(axis=1), chosen)


def few_words() -> keras.Model:
    return chain(L.Embedding(10, 2), L.Flatten(), L.Dense(3))


REFUSED: list[tuple[str, Callable[[], keras.Model], np.ndarray, str]] = [
    ("another shape", lambda: chain(L.Dense(3)), TABLE[:, :3], r"shape \(3,\); model takes \(4,\)"),
    ("flat", lambda: chain(L.Dense(3), shape=(36,)), IMAGE, r"flatten them, x.reshape\(len\(x\), -1\)"),
    (
        "one number",
        lambda: chain(L.Dense(1, bias_initializer=keras.initializers.Constant(-9.0))),
        TABLE,
        "one output that is no probability: give --tolerance",
    ),
    # Convolutions with channels first do so too, where TensorFlow has no oneDNN.
    ("a number of no word", few_words, CODES + 20, r"the model fails on these inputs: .*not in \[0, 10\)"),
]


@pytest.mark.parametrize(("make", "x", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_model_that_does_not_fit(make: Callable[[], keras.Model], x: np.ndarray, expected: str) -> None:
    with pytest.raises(RedoubtError, match=expected):
        of_model(make(), "model", opening(x))


def test_files_that_hold_no_such_model(tmp_path: Any) -> None:
    i, j = L.Input((4,)), L.Input((2,))
    models = {
        "takes words": chain(
            L.StringLookup(vocabulary=["a"], output_mode="one_hot"), L.Dense(3), shape=(1,), dtype="string"
        ),
        "number of classes is undefined": keras.Model(k := L.Input((None, 1)), L.Flatten()(k)),
        "expected one input": keras.Model([i, j], L.Dense(3)(L.Concatenate()([i, j]))),
        "holds 'Rounded', a class of its own": chain(Rounded(), L.Dense(3)),
        "holds 'abs', a function of its own": chain(L.Lambda(keras.ops.abs), L.Dense(3)),
        "holds 'odd', a function of its own": chain(L.Dense(3, activation=odd)),
        "holds a Lambda layer, whose code would run": chain(L.Lambda(lambda x: x * 2), L.Dense(3)),
    }
    for expected, network in models.items():
        network.save(tmp_path / "model.keras")
        with pytest.raises(RedoubtError, match=expected):
            open_keras(str(tmp_path / "model.keras"), opening(TABLE))
