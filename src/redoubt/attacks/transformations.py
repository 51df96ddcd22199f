"""What happens to an image between a printer and a camera, as differentiable code (EOT, arXiv 1707.07397)."""

from dataclasses import dataclass, fields

import numpy as np
import tensorflow as tf

from redoubt.core.types import Bounds

LEAST_BLUR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Transformations:
    """Ranges from which each example draws its own transformation; 0 leaves that part out.

    Attributes:
        rotation: largest turn either way, degrees.
        scale: largest change of size either way, a share below 1.
        shift: largest shift along each side, a share of the side.
        brightness: largest value added or taken away, a share of the bounds' range.
        contrast: largest change either way of the distance from the image's mean, a share of at most 1.
        blur: largest standard deviation of the lens's blur, in pixels.
        noise: standard deviation of the sensor's noise, a share of the bounds' range.

    Raises:
        ValueError: a range that is negative or too large.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < np.inf:
                raise ValueError(f"{field.name} is {value}; it must be >= 0 and finite")
        if self.scale >= 1:
            raise ValueError(f"scale is {self.scale}; it must be below 1, or images shrink to nothing")
        if self.contrast > 1:
            raise ValueError(f"contrast is {self.contrast}; it must be at most 1, or images become negatives")

    def __call__(self, x: tf.Tensor, seeds: tf.Tensor, bounds: Bounds) -> tf.Tensor:
        """Photograph every example once: it is moved, blurred, exposed and read by a noisy sensor that saturates.

        Args:
            x: images `(rows, height, width, channels)`.
            seeds: `(rows, 2)` int32, see `row_seeds`.
            bounds: what lies beyond an image's edge is `lower`; values are clipped to the bounds.
        """
        height, width, span = x.shape[1], x.shape[2], bounds.upper - bounds.lower
        draws = tf.map_fn(
            lambda seed: tf.random.stateless_uniform((7,), seed, -1.0, 1.0), seeds, fn_output_signature=tf.float32
        )
        turn, size, down, right, light, contrast, blur = (draws[:, part] for part in range(7))
        if self.rotation or self.scale or self.shift:
            middle = (height - 1) / 2 + self.shift * height * down, (width - 1) / 2 + self.shift * width * right
            x = bounds.lower + place(
                x - bounds.lower, (height, width), self.rotation * turn, 1.0 + self.scale * size, middle
            )
        if self.blur:
            x = gaussian_blur(x, self.blur * (blur + 1.0) / 2.0)
        if self.brightness or self.contrast:
            mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
            x = mean + (x - mean) * _column(1.0 + self.contrast * contrast) + span * _column(self.brightness * light)
        if self.noise:
            x += self.noise * span * _normal(seeds, x.shape[1:])
        return tf.clip_by_value(x, bounds.lower, bounds.upper)


def row_seeds(seed: tf.Tensor, draw: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """A seed per example that does not depend on its batch, `(rows, 2)` int32.

    Args:
        seed: `(2,)` int32, the run's seed and the number of the batch's first example.
        draw: number of the draw, >= 0.
        rows: how many.
    """
    of_draw = tf.random.stateless_uniform((), [seed[0], draw], None, None, tf.int32)
    return tf.stack([tf.fill([rows], of_draw), seed[1] + tf.range(rows)], axis=1)


def place(
    pictures: tf.Tensor,
    size: tuple[int, int],
    angle: tf.Tensor,
    scale: tf.Tensor,
    middle: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """Rotate and enlarge every image and lay it on an empty (0) canvas, read bilinearly.

    Args:
        pictures: images `(rows, height, width, channels)`.
        size: height and width of the canvas.
        angle: counter-clockwise, degrees, `(rows,)`.
        scale: factor, `(rows,)`.
        middle: where on the canvas the image's middle comes to lie, row and column in pixels, each `(rows,)`.

    Returns:
        `(rows, *size, channels)`.
    """
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij")).astype(np.float32)
    down = grid[0] - middle[0][:, None, None]
    right = grid[1] - middle[1][:, None, None]
    cosine = (tf.cos(angle * (np.pi / 180)) / scale)[:, None, None]
    sine = (tf.sin(angle * (np.pi / 180)) / scale)[:, None, None]
    rows = cosine * down + sine * right + (pictures.shape[1] - 1) / 2
    columns = cosine * right - sine * down + (pictures.shape[2] - 1) / 2
    return _read(pictures, rows, columns)


def _read(pictures: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Bilinear interpolation at fractional places `(rows, ...)`; 0 beyond the edge."""
    height, width, channels = pictures.shape[1:]
    flat = tf.reshape(pictures, (-1, height * width, channels))
    top, left = tf.floor(rows), tf.floor(columns)
    value = 0.0
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        weight = tf.where(inside, (1 - tf.abs(rows - row)) * (1 - tf.abs(columns - column)), 0.0)
        index = tf.where(inside, row * width + column, 0.0)
        value += weight[..., None] * tf.gather(flat, tf.cast(index, tf.int32), batch_dims=1)
    return value


def gaussian_blur(x: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    """Blur every image by its own Gaussian, cut off at the edges.

    Args:
        x: `(rows, height, width, channels)`.
        deviation: in pixels, `(rows,)`.
    """
    tall = tf.einsum("nij,njwc->niwc", _gaussians(x.shape[1], deviation), x)
    return tf.einsum("nkw,niwc->nikc", _gaussians(x.shape[2], deviation), tall)


def _gaussians(length: int, deviation: tf.Tensor) -> tf.Tensor:
    """The weight of each pixel of a line in each other's blur, `(rows, length, length)`."""
    apart = np.subtract.outer(np.arange(length), np.arange(length)).astype(np.float32)
    return tf.nn.softmax(-0.5 * tf.square(apart / tf.maximum(deviation, LEAST_BLUR)[:, None, None]))


def _normal(seeds: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    return tf.map_fn(lambda seed: tf.random.stateless_normal(shape, seed), seeds, fn_output_signature=tf.float32)


def _column(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None, None]
