"""Training for randomized smoothing: on noise (arXiv 1902.02918), or on noise round attacked points (1906.04584).

Both may ask two draws of noise to agree (arXiv 2006.04062).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, Outputs
from redoubt.core.types import Bounds, Threat
from redoubt.params.recipes import Gaussian, SmoothAdv
from redoubt.params.settings.sections import Eps
from redoubt.training.context import TrainingContext
from redoubt.training.methods.base import Method, towards
from redoubt.training.methods.pgd import perturb_batch
from redoubt.training.methods.trades import Divergence
from redoubt.training.schedules import EpsSchedule
from redoubt.training.trainer import StepState, Trainer
from redoubt.training.weighted import row_weights

# Weight of the mean answer's entropy beside the agreement, as the authors run it.
ENTROPY = 0.5


@dataclass(frozen=True, eq=False)
class NoiseObjective:
    """Learns from inputs under Gaussian noise.

    Attributes:
        network: the one that is trained.
        problem: the L2 threat to the smoothed network; see `under_noise`.
        sigma: of the noise, in units of the bounds' scale, > 0.
        attack: moves the inputs first (SmoothAdv); None leaves them (Gaussian augmentation).
        consistency: weight of agreement between the draws, >= 0; where it is 0 there is one.
    """

    network: keras.Model
    problem: AttackProblem
    sigma: float
    attack: PGD | None = None
    consistency: float = 0.0

    @property
    def draws(self) -> int:
        """Of noise, per example."""
        return 2 if self.consistency else 1

    def inputs(self, x: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tf.Tensor:
        """Perturbed inputs under fresh noise, `(draws * examples, ...)`; it may leave the bounds as in certifying."""
        x_adv = (
            x
            if self.attack is None
            else perturb_batch(self.attack, self.problem, x, y, step_state.eps, step_state.seed)
        )
        x_adv = tf.concat([x_adv] * self.draws, axis=0)
        return x_adv + noise(tf.shape(x_adv), self.sigma, self.problem.bounds, step_state.seed + [0, 1])

    def loss(self, x: tf.Tensor, x_adv: tf.Tensor, y: tf.Tensor, step_state: StepState) -> tuple[tf.Tensor, tf.Tensor]:
        """The criterion's own loss, the draws' mean, and how far they disagree; the outputs are the first draw's."""
        each = tf.split(self.network(x_adv, training=True), self.draws)
        loss = sum(self.problem.criterion.loss(outputs, y) for outputs in each) / self.draws
        if self.consistency:
            parted = disagreement(self.problem.criterion, each, self.consistency)
            loss += parted * row_weights(self.problem.criterion, y)
        return each[0], tf.reduce_mean(loss)


def disagreement(criterion: Criterion, each: Sequence[tf.Tensor], weight: float) -> tf.Tensor:
    """How far answers under noise part from their mean, and how undecided that mean is (arXiv 2006.04062).

    Args:
        criterion: says whether the answers are classes.
        each: per draw, logits `(examples, classes)` or values `(examples, 1)`.
        weight: of the first; of the second, which numbers do not have, it is `ENTROPY`.

    Returns:
        `(examples,)`.
    """
    mean, divergence = _mean(each), Divergence(criterion)
    parted = weight * sum(divergence.loss(outputs, mean) for outputs in each) / len(each)
    return parted - ENTROPY * tf.reduce_sum(tf.exp(mean) * mean, axis=1) if criterion.is_classification else parted


def noise(shape: tf.Tensor, sigma: float, bounds: Bounds, seed: tf.Tensor) -> tf.Tensor:
    """Gaussian noise in raw units."""
    return tf.random.stateless_normal(shape, seed) * sigma * bounds.scale


def under_noise(network: keras.Model, sigma: float, draws: int, bounds: Bounds) -> Outputs:
    """The smoothed network as an attacker sees it, in the form `AttackProblem.outputs` wants.

    Args:
        network: gives logits or values.
        sigma: of the noise.
        draws: averaged per answer, fresh on every call.
        bounds: give the unit of sigma.

    Returns:
        Logarithms of the mean probabilities `(examples, classes)`, or the mean value `(examples, 1)`.
    """

    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([[draws], tf.shape(x)], axis=0)
        noisy = x[None] + noise(shape, sigma, bounds, seed + [0, 2])
        flat = network(tf.reshape(noisy, (-1, *x.shape[1:])), training=False)
        return _mean(tf.split(flat, draws))

    return outputs


def _mean(each: Sequence[tf.Tensor]) -> tf.Tensor:
    """Logarithms of the mean probabilities `(examples, classes)`, or the mean value `(examples, 1)`."""
    answers = tf.stack(each)
    if answers.shape[-1] == 1:
        return tf.reduce_mean(answers, axis=0)
    return tf.reduce_logsumexp(tf.nn.log_softmax(answers), axis=0) - np.float32(np.log(len(each)))


def _within_a_sigma(recipe: Gaussian, eps: Eps) -> list[Threat]:
    """A network that learns from noise alone is watched within one sigma."""
    return [Threat("l2", recipe.sigma)]


def _on_noise(recipe: Gaussian, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule) -> Trainer:
    objective = NoiseObjective(context.network, problem, recipe.sigma, consistency=recipe.consistency)
    return towards(objective, recipe, context, schedule)


def _round_attacked(
    recipe: SmoothAdv, context: TrainingContext, problem: AttackProblem, schedule: EpsSchedule
) -> Trainer:
    outputs = under_noise(context.network, recipe.sigma, recipe.draws, context.bounds)
    smoothed = AttackProblem(outputs, context.weighted_criterion, "l2", context.bounds)
    objective = NoiseObjective(context.network, smoothed, recipe.sigma, PGD(steps=recipe.steps), recipe.consistency)
    return towards(objective, recipe, context, schedule)


GAUSSIAN = Method[Gaussian](
    trainer=_on_noise, judged="noisy", threats=_within_a_sigma, sigma=lambda recipe: recipe.sigma
)
SMOOTHADV = Method[SmoothAdv](trainer=_round_attacked, judged="noisy", sigma=lambda recipe: recipe.sigma)
