"""Certified training by interval bounds: IBP (arXiv 1810.12715), regularized as by Shi et al. (arXiv 2103.17268)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem
from redoubt.certify.interval import Box, check_bounded, steps
from redoubt.certify.worst_case import ball, worst_logits
from redoubt.models.chain import chain_of
from redoubt.params.recipes import Ibp
from redoubt.training.context import TrainingContext
from redoubt.training.methods.base import Method, towards
from redoubt.training.methods.pgd import perturb_batch
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import StepState, Trainer

TOLERANCE = 0.5
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class IbpObjective:
    """A mean of the loss on single points and of the loss at the worst end of the whole ball's bounds.

    Attributes:
        network: the one that is trained, of layers that have bounds.
        problem: the L-inf threat, on this network.
        natural: weight of the points' loss before and after the ramp, in [0, 1].
        regularize: weight of the regularizers while eps rises, >= 0.
        attack: moves the points (MTL-IBP, arXiv 2305.13991); None takes the inputs themselves.
    """

    network: keras.Model
    problem: AttackProblem
    natural: tuple[float, float]
    regularize: float
    attack: PGD | None = None

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        """The points."""
        if self.attack is None:
            return x
        return perturb_batch(self.attack, self.problem, x, y, step_state.eps, step_state.seed)

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean of both losses and the regularizers."""
        criterion, layers, (first, last) = self.problem.criterion, chain_of(self.network), self.natural
        weight = first + (last - first) * step_state.share
        ball_ = ball(x, step_state.eps, self.problem.bounds)
        features, box, befores = _together(layers[:-1], x_adv, ball_)
        outputs, ends, _ = _together(layers[-1:], features, box)
        if criterion.is_classification:
            worst = criterion.loss(worst_logits(layers[-1], box, y), y)
        else:
            worst = tf.maximum(criterion.loss(ends.low, y), criterion.loss(ends.high, y))
        loss = tf.reduce_mean(weight * criterion.loss(outputs, y) + (1.0 - weight) * worst)
        if self.regularize:
            loss += self.regularize * (1.0 - step_state.share) * regularizer(ball_, befores)
        return outputs, loss


def _together(layers: Sequence[Any], points: tf.Tensor, box: Box) -> tuple[tf.Tensor, Box, list[Box]]:
    """Points and box through the layers in training, and the box before each ReLU.

    Both are normalized by the points' own mean and variance (2103.17268), which the box alone would not give.
    """
    befores = []
    for layer in layers:
        before, after = _ends(layer, points, box)
        if getattr(layer, "activation", None) is keras.activations.relu or _is_relu(layer):
            befores.append(before)
        points, box = layer(points, training=True), after
    return points, box, befores


def _ends(layer: Any, points: tf.Tensor, box: Box) -> tuple[Box, Box]:
    """The box before a layer's ReLU, and the box after the layer."""
    if isinstance(layer, keras.layers.BatchNormalization):
        mean, variance = tf.nn.moments(points, list(range(len(points.shape) - 1)))
        gain = layer.gamma / tf.sqrt(variance + layer.epsilon)
        shift = layer.beta - mean * gain
        return box, box.through(lambda x: x * gain + shift)
    ((_, before, after),) = steps([layer], box)
    return (box if _is_relu(layer) else before), after


def _is_relu(layer: Any) -> bool:
    # A capped one stretches the contrast of the inputs, and learns nothing.
    return isinstance(layer, keras.layers.ReLU) and layer.max_value is None


def regularizer(inputs: Box, befores: Sequence[Box]) -> tf.Tensor:
    """Shi et al.'s two: bounds should not widen from layer to layer, nor ReLUs be mostly on or mostly off.

    Args:
        inputs: the box that enters.
        befores: the box before each ReLU.
    """
    if not befores:
        return tf.constant(0.0)
    width = tf.reduce_mean(inputs.high - inputs.low)
    wider = [_missing(width / tf.maximum(tf.reduce_mean(box.high - box.low), TINY)) for box in befores]
    tilted = [_imbalance(box) for box in befores]
    return tf.add_n(wider + tilted) / len(befores)


def _imbalance(box: Box) -> tf.Tensor:
    """How unlike the sure ReLUs that are on and those that are off are, in mean and in variance."""
    centre = box.centre
    on, off = tf.cast(box.low > 0, tf.float32), tf.cast(box.high < 0, tf.float32)
    spread = tf.square(centre - tf.reduce_mean(centre))
    mean = tf.reduce_sum(on * centre) / tf.maximum(-tf.reduce_sum(off * centre), TINY)
    variance = tf.reduce_sum(on * spread) / tf.maximum(tf.reduce_sum(off * spread), TINY)
    return 0.5 * (_missing(_lesser(mean)) + _missing(_lesser(variance)))


def _lesser(ratio: tf.Tensor) -> tf.Tensor:
    return tf.minimum(ratio, 1.0 / tf.maximum(ratio, TINY))


def _missing(ratio: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(TOLERANCE - ratio) / TOLERANCE


def initialize(network: keras.Model, seed: int) -> None:
    """Draw weights anew so that bounds keep their width from layer to layer: N(0, sqrt(2 pi) / fan-in) (2103.17268).

    Args:
        network: its Dense and Conv2D kernels are drawn; biases become 0.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    for layer in chain_of(network):
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D) and layer.trainable:
            kernel = layer.kernel
            fan_in = float(np.prod(kernel.shape[:-1]))
            kernel.assign(rng.normal(0.0, np.sqrt(2.0 * np.pi) / fan_in, kernel.shape))
            if layer.use_bias:
                layer.bias.assign(np.zeros(layer.bias.shape))


def _trainer(recipe: Ibp, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule) -> Trainer:
    """Draw the weights anew for bounds.

    Raises:
        IntervalError: the network has a layer without a sound bound.
    """
    check_bounded(context.network)
    initialize(context.network, context.plan.seed)
    attack = PGD(steps=recipe.steps) if recipe.steps else None
    objective = IbpObjective(context.network, problem, recipe.natural, recipe.regularize, attack)
    return towards(objective, recipe, context, schedule)


METHOD = Method[Ibp](trainer=_trainer, judged="certified", reach=lambda recipe: recipe.reach)
