"""The attack contract: an author writes `perturb`; inputs are checked before and perturbations after."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core.bpda import straight_through
from redoubt.attacks.core.criteria import Criterion
from redoubt.bundle.batches import slices
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Bounds, Floats, Measure

BATCH = 256
# A seed holds the run's number, and in one more the draw's number above the batch's first example.
ROWS = 2**16
Outputs = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class AttackError(RedoubtError):
    """An attack that cannot be run, or whose result broke its own rules."""


@dataclass(frozen=True, eq=False)
class AttackProblem:
    """What is attacked, towards what, and within which limits.

    Attributes:
        outputs: `(x, seed) -> logits (examples, classes)` or values `(examples, 1)`; a fixed network ignores the seed.
        criterion: the aim.
        norm: in which perturbations are measured.
        bounds: the box inputs live in and the unit of eps.
        name: tells it apart in an evaluation's cache.
    """

    outputs: Outputs
    criterion: Criterion
    norm: Measure
    bounds: Bounds
    name: str = ""
    compiled: dict[Any, Any] = field(default_factory=dict, repr=False)

    def predict(self, x: Floats, seed: int = 0) -> Floats:
        """Outputs as an array, `(examples, outputs)`: what one query each tells an attacker without gradients."""
        # A callable is asked as it is: a graph would make an error of TensorFlow's of whatever it raises.
        answer = self.outputs if isinstance(self.outputs, OfCallable) else self._graph(x)
        # Of no examples too, since their outputs have a width.
        parts = slices(max(len(x), 1), BATCH)
        return np.concatenate([answer(x[part], [seed % 2**31, part.start]).numpy() for part in parts])

    def aimed(self, criterion: Criterion) -> "AttackProblem":
        """The same problem with another aim, remembered with all that is compiled for it."""
        key = ("aimed", criterion)
        if key not in self.compiled:
            self.compiled[key] = replace(self, criterion=criterion, compiled={})
        aimed: AttackProblem = self.compiled[key]
        return aimed

    def _graph(self, x: Floats) -> Outputs:
        if "predict" not in self.compiled:
            rows = tf.TensorSpec((None, *x.shape[1:]), tf.float32)
            self.compiled["predict"] = tf.function(
                self.outputs, input_signature=[rows, tf.TensorSpec((2,), tf.int32)], autograph=False
            )
        graph: Outputs = self.compiled["predict"]
        return graph


def redrawn(seed: tf.Tensor, draw: tf.Tensor | int) -> tf.Tensor:
    """The seed of a later draw for the same examples.

    Args:
        seed: `(2,)` int32.
        draw: its number, from 0, below 2^15.
    """
    return seed + [0, ROWS * draw]


def rows_of(seed: NDArray[np.int32], rows: int) -> tuple[list[int], slice]:
    """How a random model draws so that an example meets the same chance in a batch of any size.

    Args:
        seed: as `AttackProblem.outputs` gets it.
        rows: in the batch.

    Returns:
        The seed of a generator that draws example after example, and which of its examples are this batch's.
    """
    draw, first = divmod(int(seed[1]), ROWS)
    return [int(seed[0]), draw], slice(first, first + rows)


def of_network(network: Callable[..., tf.Tensor]) -> Outputs:
    """A Keras network in the form `AttackProblem.outputs` wants, its outputs as float32; see `straight_through`."""
    seen = straight_through(network)
    return lambda x, seed: tf.cast(seen(x), tf.float32)


def of_callable(answer: Callable[[Floats], Floats], outputs: int) -> Outputs:
    """Wrap a function from arrays to scores, such as a service, as `AttackProblem.outputs`; it has no gradient.

    Args:
        answer: `(examples, ...) -> scores (examples, outputs)`.
        outputs: how many scores it gives per example.
    """
    return OfCallable(answer, outputs)


@dataclass(frozen=True, eq=False)
class OfCallable:
    """See `of_callable`; what the callable raises arrives as it was raised, unless inside a graph."""

    answer: Callable[[Floats], Floats]
    width: int

    def __call__(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Scores `(examples, width)`; the seed is ignored."""
        if tf.executing_eagerly():
            return tf.constant(self._ask(np.asarray(x)))
        scores = tf.numpy_function(self._ask, [x], tf.float32, stateful=True)
        scores.set_shape((x.shape[0], self.width))
        return scores

    def _ask(self, x: Floats) -> Floats:
        scores = np.asarray(self.answer(x), np.float32)
        if scores.shape != (len(x), self.width):
            raise AttackError(f"{len(x)} inputs got scores of shape {scores.shape}, not {self.width} each")
        return scores
