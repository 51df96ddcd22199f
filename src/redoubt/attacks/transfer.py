"""Black box as taught: perturbations made on a proxy (arXiv 1611.02770), or on a substitute grown from an open API."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from redoubt.attacks.contract import BATCH, Attack, AttackError, OfCallable, Outputs, Problem, of_network
from redoubt.attacks.criteria import Untargeted
from redoubt.attacks.geometry import ascend, keep_whole
from redoubt.types import Batch, Bounds, Floats, Ints

Ask = Callable[[Floats], Floats]
Table = dict[str, dict[str, float]]
UPDATE = 32


@dataclass(frozen=True)
class Transfers:
    """How far perturbations made on one model mislead another; tables are `[maker][target]`, shares in 0..1.

    Attributes:
        misled: rows that the target gets wrong, of those that every model gets right unperturbed. All cells share
            these rows, as in arXiv 1611.02770: a weak target's own mistakes are not counted as the attacker's.
        accuracy: rows of all that the target still gets right.
        clean: rows of all that each model gets right unperturbed.
        rows: how many rows every model gets right.
    """

    misled: Table
    accuracy: Table
    clean: dict[str, float]
    rows: int


def transfer_matrix(
    problems: Mapping[str, Problem],
    attack: Attack,
    x: Floats,
    y: NDArray[Any],
    *,
    eps: float,
    seed: int,
    bar: "tqdm[Any] | None" = None,
) -> Transfers:
    """Attack each model with the perturbations made on every other one, and on itself.

    A model that only answers, see `of_callable`, is attacked with those of the others alone.

    Args:
        problems: by the model's name; untargeted, of one norm and one box.
        attack: that makes the perturbations. One that stops where it has won carries over less.
        x: inputs in raw units `(rows, ...)`.
        y: labels or values `(rows,)`.
        eps: size of the perturbations.
        seed: of the attack and of the models' own randomness.
        bar: moved on by one per maker.

    Raises:
        AttackError: no row is answered rightly by all, or the attack cannot be run.
    """
    right = {name: _right(problem, x, y, seed) for name, problem in problems.items()}
    shared = np.all(list(right.values()), axis=0)
    if not shared.any():
        raise AttackError(f"none of {len(x)} rows is answered rightly by all of {', '.join(problems)}; give others")
    misled: Table = {}
    accuracy: Table = {}
    for maker, problem in problems.items():
        if isinstance(problem.outputs, OfCallable):
            continue
        moved = attack(problem, x, y, eps=eps, seed=seed)
        still = {name: _right(target, moved, y, seed) for name, target in problems.items()}
        misled[maker] = {name: float(np.mean(~flags[shared])) for name, flags in still.items()}
        accuracy[maker] = {name: float(np.mean(flags)) for name, flags in still.items()}
        if bar is not None:
            bar.update()
    clean = {name: float(np.mean(flags)) for name, flags in right.items()}
    return Transfers(misled, accuracy, clean, int(shared.sum()))


def ensemble_outputs(members: Sequence[Outputs]) -> Outputs:
    """Several proxies as one: the mean of their logits (arXiv 1710.06081).

    What misleads all of them is likelier to mislead one more (arXiv 1611.02770). The mean of log-softmax is the same
    up to a constant per row, which no loss sees.

    Raises:
        AttackError: no members.
    """
    if not members:
        raise AttackError("an ensemble needs at least one member; got none")
    return lambda x, seed: tf.add_n([outputs(x, seed) for outputs in members]) / len(members)


@dataclass(frozen=True)
class Round:
    """Where a substitute stands after a round.

    Attributes:
        queries: rows asked so far.
        agreement: share of this round's answers that the substitute gave before it learned them; at first it is
            untrained. It costs no query, but the rows are those it was least sure of: on others it agrees more.
    """

    queries: int
    agreement: float


@dataclass(frozen=True, kw_only=True)
class Substitute:
    """Grows a copy of an oracle from its answers alone (arXiv 1602.02697): no training data, only an open API.

    Each round asks for the newest inputs, trains on everything answered so far, and makes new inputs by a step along
    the sign of the gradient of the answered class's logit (Jacobian augmentation).

    Attributes:
        budget: queries, one per row asked; rounds end when it is spent.
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
            ask: the oracle, `(rows, ...) -> (rows, classes)`; only its first choice is used. What it raises comes
                through: the rounds before are kept, and so is what the network has learned.
            network: an untrained substitute with logits `(rows, classes)`.
            start: the first inputs, `(rows, ...)`: a handful of unlabelled ones, or random noise.
            bounds: the box inputs live in and the unit of `step`.
            seed: of the choice of inputs and the order of training.
            bar: moved on by one per query.

        Raises:
            AttackError: unusable first inputs, a budget below their number, answers of another shape.
        """
        self._check(start, bounds)
        rng = np.random.default_rng(seed)
        problem = Problem(of_network(network), Untargeted(), "linf", bounds)
        learn = _learning(network, self.learning_rate)
        augment = _augmentation(network, bounds)
        x, y, new, sign = start[:0], np.zeros(0, np.int64), start, 1.0
        while True:
            answers = _choices(ask, new, network.output_shape[-1], bar)
            agreement = float(np.mean(problem.answers(new).argmax(axis=1) == answers))
            x, y = np.concatenate([x, new]), np.concatenate([y, answers])
            order = np.concatenate([rng.permutation(len(x)) for _ in range(self.epochs)])
            for i in range(0, len(order), UPDATE):
                learn(x[order[i : i + UPDATE]], y[order[i : i + UPDATE]])
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
    """How well the oracle is misled after so many queries, shares in 0..1.

    Attributes:
        queries: spent on the substitute.
        agreement: test rows that substitute and oracle answer alike.
        misled: of the test rows that the oracle gets right, those it gets wrong once perturbed.
    """

    queries: int
    agreement: float
    misled: float


def misled_curve(
    rounds: Iterable[Round], problem: Problem, ask: Ask, attack: Attack, test: Batch, *, eps: float, seed: int
) -> Iterator[Point]:
    """Measure after every round how the perturbations made on the substitute mislead the oracle.

    Args:
        rounds: of `Substitute.rounds`, which trains the substitute between the points.
        problem: the substitute, untargeted.
        ask: the oracle; what is asked here measures the attack and is not counted as a query.
        attack: that makes the perturbations on the substitute, such as `fgsm()`.
        test: rows that the substitute does not learn, with true labels.
        eps: size of the perturbations.
        seed: of the attack.

    Raises:
        AttackError: the oracle gets no test row right, or the attack cannot be run.
    """
    classes = problem.answers(test.x[:1]).shape[1]
    before = _choices(ask, test.x, classes)
    right = np.flatnonzero(before == test.y)
    if not len(right):
        raise AttackError(f"the oracle gets none of {len(test)} test rows right; nothing is left to mislead")
    attacked = test.take(right)
    for done in rounds:
        moved = attack(problem, attacked.x, attacked.y, eps=eps, seed=seed)
        agreement = np.mean(problem.answers(test.x).argmax(axis=1) == before)
        misled = np.mean(_choices(ask, moved, classes) != attacked.y)
        yield Point(done.queries, float(agreement), float(misled))


def _right(problem: Problem, x: Floats, y: NDArray[Any], seed: int) -> NDArray[np.bool_]:
    return ~problem.criterion.won(problem.answers(x, seed), y)


def _choices(ask: Ask, x: Floats, classes: int, bar: "tqdm[Any] | None" = None) -> Ints:
    """The oracle's first choice per row."""
    choices = []
    for i in range(0, len(x), BATCH):
        part = x[i : i + BATCH]
        scores = np.asarray(ask(part))
        if scores.shape != (len(part), classes):
            raise AttackError(f"the oracle answered shape {scores.shape}; expected {(len(part), classes)}")
        choices.append(scores.argmax(axis=1))
        if bar is not None:
            bar.update(len(part))
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
        moved = x + step * ascend(tape.gradient(answered, x), "linf", bounds)
        return tf.clip_by_value(moved, bounds.lower, bounds.upper)

    specs = [(network.input_shape, tf.float32), ((None,), tf.int64), ((), tf.float32)]
    graph = tf.function(move, input_signature=[tf.TensorSpec(*spec) for spec in specs], autograph=False)

    def augment(x: Floats, y: Ints, step: np.float32) -> Floats:
        starts = range(0, len(x), BATCH)
        moved = np.concatenate([graph(x[i : i + BATCH], y[i : i + BATCH], step).numpy() for i in starts])
        return keep_whole(x, moved, bounds)

    return augment
