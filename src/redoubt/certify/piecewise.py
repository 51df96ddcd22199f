"""A Keras network taken apart into what it is between its ReLUs: affine maps in double precision."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from redoubt.certify.affine import Affine, Doubles, Elementwise, PiecewiseLinear
from redoubt.core.errors import RedoubtError
from redoubt.models.chain import activation_of, chain_of

# Of all matrices of a network together: 1.2 GB in memory.
MOST_WEIGHTS = 100_000_000
AT_ONCE = 512


class LinearBoundError(RedoubtError):
    """A network that has no linear bounds here; the message names the layer and its type."""


def piecewise_linear(network: keras.Model) -> PiecewiseLinear:
    """Take a network apart.

    Args:
        network: a chain of the layers in `SCALES` and `MATRICES`, ReLUs, Flatten and Dropout, at inference.

    Raises:
        ChainError: the network is more than a chain of layers.
        LinearBoundError: a layer that is neither affine nor a ReLU, or more products than fit into memory.
    """
    made = _Apart(tuple(network.input_shape[1:]))
    for layer in chain_of(network):
        made.add(layer)
    return PiecewiseLinear(tuple(made.front), (*made.maps, made.last()), tuple(made.kept))


class _Apart:
    """What is known of the layers so far; `matrix` is None until the first layer that sums."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.front: list[Elementwise] = []
        self.maps: list[Affine] = []
        self.kept: list[NDArray[np.intp]] = []
        self.shape = shape
        self.matrix: Any = None
        self.offset: Doubles = np.zeros(int(np.prod(shape)))
        self.products = 0

    def add(self, layer: Any) -> None:
        kind, activation = type(layer).__name__, activation_of(layer)
        if kind == "ReLU":
            self._capped_relu(layer)
        elif kind in SCALES:
            self._scale(*(np.broadcast_to(part, (1, *self.shape)).ravel() for part in SCALES[kind](layer)))
        elif kind in MATRICES:
            self._multiply(layer, *MATRICES[kind](layer, self.shape))
        elif kind == "MaxPooling2D":
            self._maximum(windows(layer, self.shape))
        elif kind not in ("Activation", "Dropout", "Flatten"):
            known = ", ".join(sorted([*SCALES, *MATRICES, "Flatten", "MaxPooling2D", "ReLU"]))
            raise _refused(layer, f"is a {kind}", f"; {known} have them")
        if activation not in ("linear", "relu"):
            raise _refused(layer, f"({kind}) has activation {activation}", "; linear and relu have them")
        if activation == "relu":
            self._relu(np.inf)
        self.shape = tuple(layer.output.shape[1:])

    def last(self) -> Affine:
        size = len(self.offset)
        return Affine(sparse.eye_array(size, format="csr") if self.matrix is None else self.matrix, self.offset)

    def _scale(self, scale: Doubles, offset: Doubles) -> None:
        if self.matrix is None:
            self.front.append(Elementwise(scale, offset))
        else:
            self.matrix = sparse.diags_array(scale, format="csr") @ self.matrix
            self.offset = self.offset * scale + offset

    def _multiply(self, layer: Any, matrix: Any, offset: Doubles) -> None:
        self.products += matrix.nnz
        if self.products > MOST_WEIGHTS:
            size = f"brings the network to {self.products:,} products per input, of {MOST_WEIGHTS:,} that fit in memory"
            raise _refused(layer, size)
        self.matrix, self.offset = self._after(matrix), matrix @ self.offset + offset

    def _after(self, matrix: Any) -> Any:
        return matrix if self.matrix is None else matrix @ self.matrix

    def _capped_relu(self, layer: Any) -> None:
        if layer.threshold or layer.negative_slope:
            raise _refused(layer, "(ReLU) has a threshold or a negative slope")
        if layer.max_value is None or self.matrix is None:
            self._relu(np.inf if layer.max_value is None else float(layer.max_value))
            return
        # Behind a layer with weights as two plain ones: min(r, cap) = cap - relu(cap - r), of r = relu(p).
        size, cap = len(self.offset), float(layer.max_value)
        for _ in range(2):
            self._relu(np.inf)
            self._scale(-np.ones(size), np.full(size, cap))

    def _relu(self, most: float) -> None:
        if self.matrix is None:
            self.front.append(Elementwise(low=0.0, high=most))
            return
        self._close(sparse.eye_array(len(self.offset), format="csr"), np.zeros(0, int))

    def _close(self, after: Any, kept: NDArray[np.intp]) -> None:
        """End a map at a ReLU; what comes after begins with a matrix."""
        self.maps.append(self.last())
        self.kept.append(kept)
        self.matrix, self.offset = after, np.zeros(after.shape[0])

    def _maximum(self, chosen: NDArray[np.intp]) -> None:
        """The largest of each window, in rounds of pairs: max(p, q) = p + relu(q - p)."""
        while chosen.shape[1] > 1:
            one, other = chosen[:, 0::2], chosen[:, 1::2]
            pairs, single, count = other.size, one.shape[1] - other.shape[1], len(self.offset)
            first, second, alone = one[:, : other.shape[1]].ravel(), other.ravel(), one[:, -1] if single else one[:0, 0]
            pick = sparse.eye_array(count, format="csr")
            matrix = sparse.vstack([pick[second] - pick[first], pick[first], pick[alone]], format="csr")
            self.matrix, self.offset = self._after(matrix), matrix @ self.offset
            same = sparse.eye_array(pairs, format="csr")
            sums = sparse.block_diag([sparse.hstack([same, same]), sparse.eye_array(len(alone))], format="csr")
            self._close(sums, np.arange(pairs, 2 * pairs + len(alone)))
            places = np.arange(pairs).reshape(other.shape)
            chosen = np.concatenate([places, pairs + np.arange(len(alone))[:, None]], axis=1) if single else places
        pick = sparse.eye_array(len(self.offset), format="csr")[chosen[:, 0]]
        self.matrix, self.offset = self._after(pick), self.offset[chosen[:, 0]]


def _refused(layer: Any, found: str, known: str = "") -> LinearBoundError:
    return LinearBoundError(
        f"layer '{layer.name}' {found}, which has no linear bounds here{known}; --method interval knows more layers"
    )


def _rescaling(layer: Any) -> tuple[Doubles, Doubles]:
    return np.asarray(layer.scale, float), np.asarray(layer.offset, float)


def _normalization(layer: Any) -> tuple[Doubles, Doubles]:
    mean, variance = (np.asarray(part, float) for part in (layer.mean, layer.variance))
    # As Keras has it: a standard deviation below its epsilon counts as that.
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return (deviation, mean) if layer.invert else (1.0 / deviation, -mean / deviation)


def _batch_normalization(layer: Any) -> tuple[Doubles, Doubles]:
    mean, variance = (np.asarray(part, float) for part in (layer.moving_mean, layer.moving_variance))
    gamma = np.asarray(layer.gamma, float) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta, float) if layer.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - mean * scale


def _dense(layer: Any, shape: tuple[int, ...]) -> tuple[Any, Doubles]:
    kernel, places = np.asarray(layer.kernel, float), int(np.prod(shape[:-1]))
    bias = np.asarray(layer.bias, float) if layer.use_bias else np.zeros(kernel.shape[1])
    matrix = sparse.kron(sparse.eye_array(places), sparse.csr_array(kernel.T), format="csr")
    return matrix, np.tile(bias, places)


def _convolution(layer: Any, shape: tuple[int, ...]) -> tuple[Any, Doubles]:
    if layer.groups != 1:
        raise _refused(layer, "(Conv2D) has groups")

    def apply(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, layer.kernel, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate)

    matrix = _matrix(apply, shape, np.float32)
    bias = np.asarray(layer.bias, float) if layer.use_bias else np.zeros(layer.filters)
    return matrix, np.tile(bias, matrix.shape[0] // layer.filters)


def _pooling(layer: Any, shape: tuple[int, ...]) -> tuple[Any, Doubles]:
    def apply(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, layer.pool_size, layer.strides, layer.padding.upper())

    matrix = _matrix(apply, shape, np.float64)
    return matrix, np.zeros(matrix.shape[0])


def _matrix(apply: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...], kind: type) -> Any:
    """The matrix of a linear map, column by column: what it makes of each input alone, which no sum rounds."""
    size, columns = int(np.prod(shape)), []
    for first in range(0, size, AT_ONCE):
        some: Any = np.eye(min(AT_ONCE, size - first), size, first, dtype=kind).reshape(-1, *shape)
        made = apply(tf.constant(some)).numpy()
        columns.append(sparse.csr_array(made.reshape(len(some), -1).astype(np.float64)))
    return sparse.vstack(columns, format="csr").T.tocsr()


def windows(layer: Any, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Which flat inputs each output of a pooling layer looks at, `(outputs, places of a window)`.

    A place beyond the border repeats one that is inside: the largest stays the largest.
    """
    places = np.arange(np.prod(shape), dtype=np.float64).reshape(1, *shape)
    (rows, columns), (down, right) = layer.pool_size, layer.strides
    found = tf.image.extract_patches(
        places + 1.0, [1, rows, columns, 1], [1, down, right, 1], [1, 1, 1, 1], layer.padding.upper()
    ).numpy()
    # extract_patches puts channels last: (1, height, width, rows * columns * channels), 0 beyond the border.
    found = found.reshape(-1, rows * columns, shape[-1]).transpose(0, 2, 1).reshape(-1, rows * columns)
    inside = found.max(axis=1, keepdims=True)
    return np.where(found > 0, found, inside).astype(int) - 1


SCALES: dict[str, Callable[[Any], tuple[Doubles, Doubles]]] = {
    "BatchNormalization": _batch_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
}
MATRICES: dict[str, Callable[[Any, tuple[int, ...]], tuple[Any, Doubles]]] = {
    "AveragePooling2D": _pooling,
    "Conv2D": _convolution,
    "Dense": _dense,
}
