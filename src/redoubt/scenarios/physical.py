"""Perturbations that survive printer and camera: EOT (arXiv 1707.07397), printable and smooth (arXiv 1707.08945)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.base import GradientAttack
from redoubt.attacks.core.geometry import project, steepest_step
from redoubt.attacks.core.problem import BATCH, AttackError, AttackProblem, redrawn
from redoubt.attacks.transformations import Transformations, row_seeds
from redoubt.bundle.batches import slices
from redoubt.core.types import Floats

TINY = 1e-12
Colour = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Physical(GradientAttack):
    """PGD on the margin expected over transformations, less what a printer or an onlooker would mind.

    Attributes:
        transformations: what the image must survive.
        steps: gradient steps, >= 1.
        step_size: of one step, as a share of eps; None takes Madry's 2.5 / steps.
        draws: transformations averaged per step, >= 1.
        smooth: weight of the perturbation's total variation, in units of eps per pixel; 1 to 5 is much.
        printable: weight of the mean distance to the nearest colour of the palette, in raw units; 5 to 30.
        palette: colours that can be printed, one value per channel each, raw units; empty for any.

    Raises:
        AttackError: inputs that are no images, a weight without a palette, colours of other channels.
    """

    transformations: Transformations
    steps: int = 100
    step_size: float | None = None
    draws: int = 4
    smooth: float = 0.0
    printable: float = 0.0
    palette: tuple[Colour, ...] = ()

    @property
    def starts_at_random(self) -> bool:
        """Never: a random start is noise that no printer would show."""
        return False

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        self._check(x.shape)
        norm, bounds = problem.norm, problem.bounds
        share = self.step_size if self.step_size is not None else 2.5 / self.steps

        def step(index: tf.Tensor, x_adv: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            gradient = self._expected_gradient(problem, x_adv, y, seed, index)
            gradient -= self._penalty_gradient(x, x_adv, eps)
            x_adv = x_adv + eps * share * steepest_step(gradient, norm, bounds)
            return index + 1, project(x, x_adv, eps, norm, bounds)

        _, x_adv = tf.while_loop(lambda index, _: index < self.steps, step, (tf.constant(0), x))
        return x_adv

    def _check(self, shape: tf.TensorShape) -> None:
        if len(shape) != 4:
            raise AttackError(f"inputs have shape {shape}; only images (batch, height, width, channels) can be printed")
        if self.printable and not self.palette:
            raise AttackError(
                f"printable is {self.printable} but the palette is empty; name the colours or set it to 0"
            )
        for colour in self.palette:
            if len(colour) != shape[-1]:
                raise AttackError(f"the palette's colour {colour} has {len(colour)} values; images have {shape[-1]}")

    def _expected_gradient(
        self, problem: AttackProblem, x_adv: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, index: tf.Tensor
    ) -> tf.Tensor:
        def add(part: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            draw = index * self.draws + part
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x_adv)
                seen = self.transformations(x_adv, row_seeds(seed, draw, tf.shape(x_adv)[0]), problem.bounds)
                outputs = problem.outputs(seen, redrawn(seed, draw))
                # Its slope does not vanish where the network is sure, so a weight means the same for every example.
                loss = problem.criterion.loss(outputs, y, "margin")
            return part + 1, total + tape.gradient(loss, x_adv)

        first = (tf.constant(0), tf.zeros_like(x_adv))
        _, total = tf.while_loop(lambda part, _: part < self.draws, add, first)
        return total / self.draws

    def _penalty_gradient(self, x: tf.Tensor, x_adv: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x_adv)
            penalty = tf.zeros(tf.shape(x_adv)[0])
            if self.smooth:
                penalty += self.smooth * total_variation((x_adv - x) / tf.maximum(eps, TINY))
            if self.printable:
                penalty += self.printable * unprintable(x_adv, self.palette)
        return tape.gradient(penalty, x_adv, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def total_variation(pictures: tf.Tensor) -> tf.Tensor:
    """Mean length of the step from a value to its neighbours below and to the right, `(examples,)`."""
    down = pictures[:, 1:, :-1] - pictures[:, :-1, :-1]
    right = pictures[:, :-1, 1:] - pictures[:, :-1, :-1]
    # The root alone has no slope at 0, where every attack starts.
    return tf.reduce_mean(tf.sqrt(tf.square(down) + tf.square(right) + 1e-6), axis=(1, 2, 3))


def unprintable(pictures: tf.Tensor, palette: tuple[Colour, ...]) -> tf.Tensor:
    """Mean distance of a pixel to its nearest printable colour, `(examples,)`.

    The score of Sharif et al. (CCS 2016) multiplies the distances to all colours; that product, and its slope, vanish
    as the palette grows. Both are 0 for printable pixels alone.
    """
    away = tf.square(pictures[..., None, :] - tf.constant(palette, tf.float32))
    nearest = tf.reduce_min(tf.reduce_sum(away, axis=-1), axis=-1)
    return tf.reduce_mean(tf.sqrt(nearest + 1e-6), axis=(1, 2))


@dataclass(frozen=True)
class Survival:
    """Shares of adversarial predictions, 0 to 1.

    Attributes:
        digital: of the attacked examples as they are.
        photographed: of (attacked example, draw) under the transformations.
        clean: of (clean example, draw) under the same draws; for `Untargeted`, 1 - accuracy.
    """

    digital: float
    photographed: float
    clean: float


def survival_rate(
    problem: AttackProblem,
    x: Floats,
    x_adv: Floats,
    y: NDArray[Any],
    transformations: Transformations,
    *,
    draws: int,
    seed: int,
) -> Survival:
    """How often an attack still succeeds after the image was printed and photographed.

    Args:
        problem: who is attacked and what counts as adversarial.
        x: clean images `(examples, height, width, channels)`.
        x_adv: attacked ones, of the same shape.
        y: labels as the criterion wants them.
        transformations: how images are printed and photographed.
        draws: per example, >= 1; the same for clean and attacked examples.
        seed: of the draws; take another than the attack's.
    """
    photograph = _photographer(problem, transformations, x)

    def fooled(pictures: Floats) -> float:
        shares = [
            problem.criterion.is_adversarial(
                photograph(pictures[part], [seed % 2**31, part.start], draw).numpy(), y[part]
            )
            for draw in range(draws)
            for part in slices(len(x), BATCH)
        ]
        return float(np.concatenate(shares).mean())

    digital = float(problem.criterion.is_adversarial(problem.predict(x_adv, seed), y).mean())
    return Survival(digital, fooled(x_adv), fooled(x))


def _photographer(problem: AttackProblem, transformations: Transformations, x: Floats) -> Callable[..., tf.Tensor]:
    if transformations not in problem.compiled:
        rows, seed = tf.TensorSpec((None, *x.shape[1:]), tf.float32), tf.TensorSpec((2,), tf.int32)

        def photograph(pictures: tf.Tensor, seed: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
            seen = transformations(pictures, row_seeds(seed, draw, tf.shape(pictures)[0]), problem.bounds)
            return problem.outputs(seen, redrawn(seed, draw))

        signature = [rows, seed, tf.TensorSpec((), tf.int32)]
        problem.compiled[transformations] = tf.function(photograph, input_signature=signature, autograph=False)
    return problem.compiled[transformations]
