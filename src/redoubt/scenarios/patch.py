"""An adversarial patch that fools wherever it is put, at any angle (arXiv 1712.09665)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.core.base import check_gradient
from redoubt.attacks.core.problem import BATCH, ROWS, AttackError, AttackProblem
from redoubt.attacks.transformations import place
from redoubt.bundle.batches import slices
from redoubt.core.types import Bounds, Floats


@dataclass(frozen=True, kw_only=True)
class Placing:
    """How a sticker is put on an image: anywhere, turned and enlarged by chance.

    Attributes:
        rotation: largest turn either way, degrees; 180 is any angle.
        scale: largest change of size either way, a share below 1.
    """

    rotation: float = 180.0
    scale: float = 0.2

    def draw(self, rng: np.random.Generator, rows: int, side: int, size: tuple[int, int]) -> Floats:
        """Places `(examples, 4)`: degrees, factor, then row and column of the sticker's middle.

        Args:
            rng: source of chance.
            rows: how many.
            side: of the sticker, in pixels; unturned it lies wholly on the image.
            size: height and width of the image.
        """
        angle = rng.uniform(-self.rotation, self.rotation, rows)
        factor = rng.uniform(1 - self.scale, 1 + self.scale, rows)
        # An enlarged sticker has less room; one that has none lies in the middle.
        room = np.maximum(0.0, np.array(size)[None, :] - side * factor[:, None])
        middle = (np.array(size) - 1) / 2 + room * rng.uniform(-0.5, 0.5, (rows, 2))
        return np.column_stack([angle, factor, middle]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Patch:
    """A square sticker.

    Attributes:
        pixels: `(side, side, channels)`, raw units.
        placing: how it is put on images.
    """

    pixels: Floats
    placing: Placing

    def apply(self, x: Floats, rng: np.random.Generator) -> Floats:
        """Images `(examples, height, width, channels)` with the sticker on each, at a place of its own."""
        places = self.placing.draw(rng, len(x), len(self.pixels), x.shape[1:3])
        pixels = tf.constant(self.pixels)
        parts = [stick(x[part], pixels, places[part]).numpy() for part in slices(len(x), BATCH)]
        return np.concatenate([x[:0], *parts])


@dataclass(frozen=True, kw_only=True)
class PatchLearning:
    """Learns one patch for all images by sign steps up the loss over random images and places, of falling size.

    Attributes:
        side: of the sticker, in pixels.
        placing: how it is put on images.
        steps: >= 1.
        batch: examples per step.
        step_size: of the first step, as a share of the bounds' range.
    """

    side: int
    placing: Placing = Placing()
    steps: int = 300
    batch: int = 64
    step_size: float = 0.05

    def __call__(
        self, problem: AttackProblem, x: Floats, y: NDArray[Any], *, seed: int, bar: "tqdm[Any] | None" = None
    ) -> Patch:
        """Learn a sticker.

        Args:
            problem: who is attacked; `Untargeted` or `Targeted` says towards what. Its norm is not read.
            x: training images `(examples, height, width, channels)`, raw units.
            y: their classes, or the target classes.
            seed: of examples, places and the model's own randomness.
            bar: moved on by one per step.

        Raises:
            AttackError: inputs that are no images, none at all, or smaller than the sticker.
        """
        if x.ndim != 4 or not len(x):
            raise AttackError(f"inputs have shape {x.shape}; a patch needs images (batch, height, width, channels)")
        if not 1 <= self.side <= min(x.shape[1:3]):
            raise AttackError(f"the patch's side is {self.side}; it must be 1..{min(x.shape[1:3])} for these images")
        check_gradient(problem, x)
        rng, climb = np.random.default_rng(seed), self._compile(problem, x, y)
        pixels = np.full((self.side, self.side, x.shape[3]), np.mean(_box(problem.bounds)), np.float32)
        for step in range(self.steps):
            rows = rng.integers(len(x), size=min(self.batch, len(x)))
            places = self.placing.draw(rng, len(rows), self.side, x.shape[1:3])
            size = np.float32(self.step_size * (1 - step / self.steps))
            pixels = climb(pixels, x[rows], y[rows], places, size, [seed % 2**31, ROWS * step])
            if bar is not None:
                bar.update()
        return Patch(np.asarray(pixels), self.placing)

    def _compile(self, problem: AttackProblem, x: Floats, y: NDArray[Any]) -> Callable[..., tf.Tensor]:
        lower, upper = _box(problem.bounds)

        def climb(
            pixels: tf.Tensor, x: tf.Tensor, y: tf.Tensor, places: tf.Tensor, size: tf.Tensor, seed: tf.Tensor
        ) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(pixels)
                loss = problem.criterion.loss(problem.outputs(stick(x, pixels, places), seed), y)
            x_adv = pixels + size * (upper - lower) * tf.sign(tape.gradient(loss, pixels))
            return tf.clip_by_value(x_adv, lower, upper)

        floats = ((self.side, self.side, x.shape[3]), (None, *x.shape[1:]), (None, 4), ())
        sticker, rows, places, size = (tf.TensorSpec(shape, tf.float32) for shape in floats)
        labels, seed = tf.TensorSpec((None, *y.shape[1:]), y.dtype), tf.TensorSpec((2,), tf.int32)
        # Without it the seed, a list that differs from step to step, would have every step compiled anew.
        signature = [sticker, rows, labels, places, size, seed]
        return tf.function(climb, input_signature=signature, autograph=False)


def stick(x: tf.Tensor, pixels: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Images with the sticker put on them; differentiable in the sticker's pixels.

    Args:
        x: `(examples, height, width, channels)`.
        pixels: `(side, side, channels)`.
        places: `(examples, 4)`, see `Placing.draw`.
    """
    channels = pixels.shape[-1]
    opaque = tf.concat([pixels, tf.ones_like(pixels[..., :1])], axis=-1)
    stickers = tf.repeat(opaque[None], tf.shape(x)[0], axis=0)
    laid = place(stickers, tuple(x.shape[1:3]), places[:, 0], places[:, 1], (places[:, 2], places[:, 3]))
    return x * (1 - laid[..., channels:]) + laid[..., :channels]


@dataclass(frozen=True)
class FoolingRates:
    """Shares of adversarial predictions over (example, place), 0 to 1.

    Attributes:
        patch: with the sticker.
        noise: with a sticker of random values at the same places.
        clean: without any.
    """

    patch: float
    noise: float
    clean: float


def fooling_rate(
    problem: AttackProblem, patch: Patch, x: Floats, y: NDArray[Any], *, places: int, seed: int
) -> FoolingRates:
    """How often a patch succeeds at random places, compared with a patch of noise.

    Args:
        problem: who is attacked and what counts as adversarial.
        patch: the sticker.
        x: images that it was not learnt on, `(examples, height, width, channels)`.
        y: labels as the criterion wants them.
        places: per example, >= 1.
        seed: of the places and the noise.
    """
    values = np.random.default_rng([seed, 0]).uniform(*_box(problem.bounds), patch.pixels.shape)
    noise = Patch(values.astype(np.float32), patch.placing)

    def fooled(sticker: Patch) -> float:
        rng = np.random.default_rng([seed, 1])
        answers = [problem.predict(sticker.apply(x, rng), seed + i) for i in range(places)]
        return float(np.mean([problem.criterion.is_adversarial(answer, y) for answer in answers]))

    return FoolingRates(
        fooled(patch), fooled(noise), float(problem.criterion.is_adversarial(problem.predict(x, seed), y).mean())
    )


def _box(bounds: Bounds) -> tuple[float, float]:
    """The loosest limits of all pixels: a sticker can lie on any."""
    return float(np.min(bounds.lower)), float(np.max(bounds.upper))
