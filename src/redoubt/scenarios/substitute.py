"""A substitute grown from an open API by Jacobian-based augmentation (arXiv 1602.02697)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.geometry import round_integers, steepest_step
from redoubt.attacks.core.problem import BATCH, AttackError, AttackProblem, of_network
from redoubt.bundle.batches import slices
from redoubt.core.types import Batch, Bounds, Floats, Ints

Ask = Callable[[Floats], Floats]
UPDATE = 32


@dataclass(frozen=True)
class Round:
    """The state of a substitute after a round.

    Attributes:
        queries: examples asked so far.
        agreement: share of this round's labels that the substitute predicted before training on them; at first it is
            untrained. It costs no query, but the examples are those it was least sure of: on others it agrees more.
    """

    queries: int
    agreement: float


@dataclass(frozen=True, kw_only=True)
class Substitute:
    """Trains a copy of an oracle on its outputs alone (arXiv 1602.02697): no training data, only an open API.

    Each round asks for the newest inputs, trains on all labels so far, and makes new inputs by a step along
    the sign of the gradient of the predicted class's logit (Jacobian augmentation).

    Attributes:
        budget: queries, one per example asked; rounds end when it is spent.
        growth: most new inputs per round, drawn from those known (reservoir sampling, arXiv 1605.07277).
        step: of the augmentation (lambda), in units of `Bounds.scale`; every other round it goes down the gradient.
        epochs: of training per round.
        learning_rate: of Adam.
    """

    budget: int
    growth: int = 400
    step: float = 0.3
    epochs: int = 10
    learning_rate: float = 1e-3

    def rounds(
        self,
        ask: Ask,
        network: keras.Model,
        start: Floats,
        bounds: Bounds,
        *,
        seed: int,
        bar: "tqdm[Any] | None" = None,
    ) -> Iterator[Round]:
        """Train the substitute in place, round by round; nothing happens until the result is iterated.

        Args:
            ask: the oracle, `(examples, ...) -> (examples, classes)`; only its first choice is used. What it raises
                comes through: the rounds before are kept, and so is what the network has learned.
            network: an untrained substitute with logits `(examples, classes)`.
            start: the first inputs, `(examples, ...)`: a handful of unlabelled ones, or random noise.
            bounds: the box inputs live in and the unit of `step`.
            seed: of the choice of inputs and the order of training.
            bar: moved on by one per query.

        Raises:
            AttackError: unusable first inputs, a budget below their number, outputs of another shape.
        """
        self._check(start, bounds)
        rng = np.random.default_rng(seed)
        problem = AttackProblem(of_network(network), Untargeted(), "linf", bounds)
        learn = _learning(network, self.learning_rate)
        augment = _augmentation(network, bounds)
        x, y, new, sign = start[:0], np.zeros(0, np.int64), start, 1.0
        while True:
            answers = _choices(ask, new, network.output_shape[-1], bar)
            agreement = float(np.mean(problem.predict(new).argmax(axis=1) == answers))
            x, y = np.concatenate([x, new]), np.concatenate([y, answers])
            order = np.concatenate([rng.permutation(len(x)) for _ in range(self.epochs)])
            for part in slices(len(order), UPDATE):
                learn(x[order[part]], y[order[part]])
            yield Round(len(x), agreement)
            count = min(len(x), self.growth, self.budget - len(x))
            if not count:
                return
            chosen = rng.choice(len(x), count, replace=False)
            new, sign = augment(x[chosen], y[chosen], np.float32(sign * self.step)), -sign

    def _check(self, start: Floats, bounds: Bounds) -> None:
        if not 0 < len(start) <= self.budget:
            raise AttackError(f"{len(start)} first inputs; expected 1 to the budget of {self.budget} queries")
        try:
            bounds.check(start)
        except ValueError as error:
            raise AttackError(f"the first inputs cannot be asked: {error}") from None


@dataclass(frozen=True)
class Point:
    """How well the oracle is fooled after so many queries, shares in [0, 1].

    Attributes:
        queries: spent on the substitute.
        agreement: test examples on which substitute and oracle agree.
        success_rate: of the test examples that the oracle classifies correctly, those misclassified once perturbed.
    """

    queries: int
    agreement: float
    success_rate: float


def success_curve(
    rounds: Iterable[Round], problem: AttackProblem, ask: Ask, attack: Attack, test: Batch, *, eps: float, seed: int
) -> Iterator[Point]:
    """Measure after every round how often perturbations crafted on the substitute fool the oracle.

    Args:
        rounds: of `Substitute.rounds`, which trains the substitute between the points.
        problem: the substitute, untargeted.
        ask: the oracle; what is asked here measures the attack and is not counted as a query.
        attack: that makes the perturbations on the substitute, such as `fgsm()`.
        test: examples that the substitute does not learn, with true labels.
        eps: size of the perturbations.
        seed: of the attack.

    Raises:
        AttackError: the oracle classifies no test example correctly, or the attack cannot be run.
    """
    classes = problem.predict(test.x[:1]).shape[1]
    before = _choices(ask, test.x, classes)
    right = np.flatnonzero(before == test.y)
    if not len(right):
        raise AttackError(f"the oracle misclassifies all of {len(test)} test examples; nothing is left to attack")
    attacked = test.take(right)
    for done in rounds:
        x_adv = attack(problem, attacked.x, attacked.y, eps=eps, seed=seed)
        agreement = np.mean(problem.predict(test.x).argmax(axis=1) == before)
        success_rate = np.mean(_choices(ask, x_adv, classes) != attacked.y)
        yield Point(done.queries, float(agreement), float(success_rate))


def _choices(ask: Ask, x: Floats, classes: int, bar: "tqdm[Any] | None" = None) -> Ints:
    """The oracle's first choice per example."""
    choices = []
    for part in slices(len(x), BATCH):
        scores, count = np.asarray(ask(x[part])), part.stop - part.start
        if scores.shape != (count, classes):
            raise AttackError(f"the oracle returned shape {scores.shape}; expected {(count, classes)}")
        choices.append(scores.argmax(axis=1))
        if bar is not None:
            bar.update(count)
    return np.concatenate(choices)


def _learning(network: keras.Model, learning_rate: float) -> Callable[[Floats, Ints], None]:
    """One update by Adam on a batch; how the network was compiled, if it was, plays no part."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(network.trainable_variables)

    def update(x: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = network(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)

    rows = tf.TensorSpec(network.input_shape, tf.float32), tf.TensorSpec((None,), tf.int64)
    return tf.function(update, input_signature=rows, autograph=False)


def _augmentation(network: keras.Model, bounds: Bounds) -> Callable[[Floats, Ints, np.float32], Floats]:
    """`(x, y, step) -> x` moved by `step` along the sign of the gradient of logit y, clipped into the bounds."""

    def move(x: tf.Tensor, y: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            answered = tf.gather(network(x, training=False), y, batch_dims=1)
        x_adv = x + step * steepest_step(tape.gradient(answered, x), "linf", bounds)
        return tf.clip_by_value(x_adv, bounds.lower, bounds.upper)

    specs = [(network.input_shape, tf.float32), ((None,), tf.int64), ((), tf.float32)]
    graph = tf.function(move, input_signature=[tf.TensorSpec(*spec) for spec in specs], autograph=False)

    def augment(x: Floats, y: Ints, step: np.float32) -> Floats:
        x_adv = np.concatenate([graph(x[part], y[part], step).numpy() for part in slices(len(x), BATCH)])
        return round_integers(x, x_adv, bounds)

    return augment
