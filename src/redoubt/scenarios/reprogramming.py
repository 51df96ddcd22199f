"""Adversarial reprogramming (arXiv 1806.11146): a frame of noise makes a network do another task, weights unchanged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax
from tqdm import tqdm

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_network
from redoubt.core.types import PIXELS, Batch, Floats, Ints

# Boards that the result is measured on, and boards that classes are chosen on.
HELD_OUT, CHOOSING = 2000, 1000
# Steps between two choices; in the second half the classes stay.
CHOOSE_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class Board:
    """The new task: count the white squares of a small black board in the centre of an image.

    Attributes:
        cells: per side.
        pixels: per side of a cell.
        most: squares on a board, 1..most.
    """

    cells: int = 4
    pixels: int = 1
    most: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.most <= self.cells**2:
            raise AttackError(f"up to {self.most} squares on {self.cells} x {self.cells} cells; give 1 to one per cell")

    @property
    def side(self) -> int:
        """Of the whole board, in pixels."""
        return self.cells * self.pixels


@dataclass(frozen=True, eq=False)
class Reprogrammed:
    """What came of it.

    Attributes:
        frame: what is added to an image of a board: in (0, 1) round the board, 0 on it; of the shape of one input.
        classes: of the network, the one that stands for each count, `(most,)`; no two are the same.
        accuracy: share of freshly drawn boards counted rightly, 0..1.
        chance: the same for guessing.
        history: share counted rightly of each step's boards, before they were learned, `(steps,)`.
    """

    frame: Floats
    classes: Ints
    accuracy: float
    chance: float
    history: Floats


@dataclass(frozen=True, kw_only=True)
class Reprogram:
    """Adam on the frame alone, boards drawn afresh for every step.

    Which class stands for which count is fitted too: the paper fixes it, which suits networks of a thousand classes.

    Attributes:
        steps: gradient steps.
        boards: per step.
        learning_rate: of Adam at first; it falls evenly to 0.
    """

    steps: int = 1000
    boards: int = 100
    learning_rate: float = 0.1

    def __call__(
        self, network: keras.Model, board: Board, *, seed: int, bar: "tqdm[Any] | None" = None
    ) -> Reprogrammed:
        """Make a network count.

        Args:
            network: `(examples, height, width, channels)` in [0, 1] to logits `(examples, classes)`; it stays as it is.
                Do the same to `keras.models.clone_model(network)`, which is untrained, to see what its training is
                worth.
            board: the task.
            seed: of the boards and of the first frame.
            bar: moved on by one per step.

        Raises:
            AttackError: no image network, no frame left round the board, fewer classes than squares.
        """
        shape = network.input_shape[1:]
        _check(network, board)
        first, train, test, choice = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4))
        weights, mask = keras.Variable(first.standard_normal(shape), dtype="float32"), _mask(board, shape)
        step, problem = (
            self._compile(network, weights, mask),
            AttackProblem(of_network(network), Untargeted(), "linf", PIXELS),
        )
        history, classes = np.zeros(self.steps, np.float32), np.arange(board.most)
        for index in range(self.steps):
            if index % CHOOSE_EVERY == 0 and 2 * index <= self.steps:
                boards = make_boards(choice, CHOOSING, board, shape)
                classes = _choose(problem.predict(boards.x + _frame(weights.value, mask).numpy()), boards.y)
            batch = make_boards(train, self.boards, board, shape)
            history[index] = step(batch.x, classes[batch.y])
            if bar is not None:
                bar.update()
        frame, held_out = _frame(weights.value, mask).numpy(), make_boards(test, HELD_OUT, board, shape)
        answers = problem.predict(held_out.x + frame).argmax(axis=1)
        accuracy = float(np.mean(answers == classes[held_out.y]))
        return Reprogrammed(frame, classes, accuracy, 1 / board.most, history)

    def _compile(
        self, network: keras.Model, weights: keras.Variable, mask: Floats
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.PolynomialDecay(self.learning_rate, self.steps))
        optimizer.build([weights])

        def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights.value)
                logits = network(x + _frame(weights.value, mask), training=False)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            optimizer.apply([tape.gradient(loss, weights.value)], [weights])
            return tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == y, tf.float32))

        boards = [tf.TensorSpec((None, *mask.shape), tf.float32), tf.TensorSpec((None,), tf.int64)]
        return tf.function(step, input_signature=boards, autograph=False)


def make_boards(rng: np.random.Generator, count: int, board: Board, image_shape: tuple[int, ...]) -> Batch:
    """Draw boards: black images with 1..most white squares in the middle.

    Args:
        rng: of the numbers of squares, all equally likely, and of their places.
        count: boards.
        board: the task.
        image_shape: `(height, width, channels)`.

    Returns:
        Images `(count, *image_shape)` of zeros and ones; the number of squares less 1, `(count,)`.
    """
    labels = rng.integers(board.most, size=count)
    ranks = rng.random((count, board.cells**2)).argsort(axis=1)
    cells = (ranks <= labels[:, None]).reshape(count, board.cells, board.cells, 1)
    x = np.zeros((count, *image_shape), np.float32)
    x[:, *_middle(board, image_shape)] = cells.repeat(board.pixels, axis=1).repeat(board.pixels, axis=2)
    return Batch(x, labels)


def _choose(logits: Floats, counts: Ints) -> Ints:
    """A class for each count, so that the cross-entropy of boards with these logits is least."""
    chances = log_softmax(logits.astype(float), axis=1)
    means = np.stack([chances[counts == count].mean(axis=0) for count in range(counts.max() + 1)])
    return np.asarray(linear_sum_assignment(means, maximize=True)[1])


def _middle(board: Board, shape: tuple[int, ...]) -> tuple[slice, slice]:
    top, left = ((size - board.side) // 2 for size in shape[:2])
    return slice(top, top + board.side), slice(left, left + board.side)


def _mask(board: Board, shape: tuple[int, ...]) -> Floats:
    """1 round the board, 0 on it."""
    mask = np.ones(shape, np.float32)
    mask[_middle(board, shape)] = 0.0
    return mask


def _frame(weights: tf.Tensor, mask: Floats) -> tf.Tensor:
    # The paper's tanh, moved from (-1, 1) to the range of pixels.
    return mask * (tf.tanh(weights) + 1.0) / 2.0


def _check(network: keras.Model, board: Board) -> None:
    shape, classes = network.input_shape[1:], network.output_shape[-1]
    if len(shape) != 3 or board.side >= min(shape[:2]):
        raise AttackError(f"inputs of shape {shape} leave no frame round a board of {board.side} x {board.side} pixels")
    if classes < board.most:
        raise AttackError(f"the network has {classes} classes; counting to {board.most} needs as many")
