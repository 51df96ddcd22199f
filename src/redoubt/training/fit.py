"""Resumable Keras training: killed at any epoch and started again, it ends with the same weights."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp

from redoubt.bundle.batches import slices
from redoubt.core.store import read_arrays, write_arrays
from redoubt.core.types import Batch, Floats
from redoubt.data.state import resume
from redoubt.training.balance import Weights

History = list[dict[str, float]]
Validate = Callable[[], dict[str, float]]
Outputs = Callable[[Any], tf.Tensor]
SAVE_EVERY_SECONDS = 5.0
HALF = 0.5
# Examples of a validation that are predicted at once.
ROWS_AT_ONCE = 2048
SECONDS = "seconds"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        epochs: at most.
        batch_size: examples per update.
        learning_rate: of Adam.
        patience: epochs without a better validation loss before it stops; None trains all of them.
        decay: lower the learning rate to 0 along a cosine.
        seed: of the example order.
        replays: times each batch is given in a row.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None = None
    decay: bool = False
    seed: int = 0
    replays: int = 1

    def updates(self, rows: int) -> int:
        """In one epoch over so many examples."""
        return math.ceil(rows / self.batch_size) * self.replays


class WeightedCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Of logits, each example weighed by its class."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(from_logits=True)
        self.weights = weights

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Per example."""
        classes = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        return tf.gather(tf.constant(self.weights, tf.float32), classes) * super().call(y_true, y_pred)


def compile_network(model: keras.Model, plan: Plan, rows: int, outputs: int, weights: Weights | None = None) -> None:
    """Attach optimizer, loss and metric: cross-entropy and accuracy, or squared and absolute error.

    Args:
        model: trained in place.
        plan: how long and how fast.
        rows: to learn from.
        outputs: of the network.
        weights: per class, of each example's cross-entropy; None weighs all alike.
    """
    steps = plan.updates(rows)
    rate: Any = plan.learning_rate
    if plan.decay:
        rate = keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.epochs * steps)
    regression = outputs == 1
    entropy = WeightedCrossentropy(weights) if weights else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = keras.losses.MeanSquaredError() if regression else entropy
    metric = keras.metrics.MeanAbsoluteError(name="mae") if regression else _accuracy()
    # One graph call covers many small batches; Keras wants the number to divide an epoch.
    together = max(size for size in range(1, min(steps, 64) + 1) if steps % size == 0)
    # Named, since Keras would number it by what the process made before, and the name is part of what is written.
    optimizer = keras.optimizers.Adam(rate, name="adam")
    model.compile(optimizer, loss, metrics=[metric], steps_per_execution=together, jit_compile=False)


def _accuracy() -> keras.metrics.Metric:
    return keras.metrics.SparseCategoricalAccuracy(name="accuracy")


def fit(
    model: keras.Model,
    network: keras.Model,
    train: Batch,
    validate: Validate,
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    progress: keras.callbacks.Callback | None = None,
) -> History:
    """Train a compiled model and leave the weights of its best validation loss in the network.

    Args:
        model: the compiled model; the network itself, or a trainer that wraps it.
        network: whose weights are kept.
        train: examples to learn from.
        validate: measured after every epoch; its `loss` decides when to stop and which weights are best.
        plan: how long and how fast.
        checkpoint: file of the resumable state, which stays, so that a finished training is not done twice; None
            trains without one.
        progress: receives Keras's events, such as a progress bar.

    Returns:
        One mapping of metric names to values per epoch.
    """
    resumable = ResumableCheckpoint(network, validate, plan, checkpoint)
    # Variables exist only after the first step, and the saved state must be put into them.
    model.optimizer.build(model.trainable_variables)
    first = resumable.restore(model)
    if not resumable.finished:
        model.fit(
            _epochs(train, plan, first),
            epochs=plan.epochs,
            initial_epoch=first,
            steps_per_epoch=plan.updates(len(train)),
            shuffle=False,
            callbacks=[resumable, *([progress] if progress else [])],
            verbose=0,
        )
        resumable.save()
    network.set_weights(resumable.best)
    return resumable.history


def seconds_spent(checkpoint: Path) -> float:
    """How long the training behind a state took, all its sessions together; what a kill undid does not count."""
    return float(read_arrays(checkpoint)[SECONDS])


def on_rows(
    network: keras.Model, batch: Batch, weights: Weights | None = None, outputs: Outputs | None = None
) -> Validate:
    """Loss and metric of a network on some examples; one graph call, far cheaper than `evaluate` for small ones.

    Args:
        network: measured.
        batch: on these.
        weights: per class; see `measure`.
        outputs: the network's, as `inference` makes them, where they have been traced for other examples before.
    """
    answer, parts = outputs or inference(network), slices(len(batch), ROWS_AT_ONCE)
    return lambda: measure(np.concatenate([answer(batch.x[part]).numpy() for part in parts]), batch, weights)


def inference(network: keras.Model) -> Outputs:
    """A network's outputs as one graph, traced once for any number of examples."""
    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    outputs: Outputs = tf.function(lambda x: network(x, training=False), input_signature=signature, autograph=False)
    return outputs


def measure(outputs: Floats, batch: Batch, weights: Weights | None = None) -> dict[str, float]:
    """Cross-entropy (by class, where classes weigh) and accuracy of logits, or squared and absolute error of values."""
    outputs = outputs.astype(np.float64)
    if outputs.shape[1] == 1:
        error = outputs[:, 0] - batch.y
        return {"loss": float(np.square(error).mean()), "mae": float(np.abs(error).mean())}
    logarithms = outputs - logsumexp(outputs, axis=1, keepdims=True)
    chosen = logarithms[np.arange(len(batch)), batch.y]
    if weights:
        chosen = chosen * np.asarray(weights)[batch.y]
    return {"loss": float(-chosen.mean()), "accuracy": float((outputs.argmax(axis=1) == batch.y).mean())}


def _epochs(train: Batch, plan: Plan, first: int) -> tf.data.Dataset:
    # Each epoch's order depends on the seed and its number alone, so a resumed run sees the same batches.
    x, y = tf.constant(train.x), tf.constant(train.y)

    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = tf.random.experimental.stateless_shuffle(tf.range(len(train)), seed=[plan.seed, epoch])
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(plan.batch_size)
        if plan.replays == 1:
            return batches
        return batches.flat_map(lambda batch: tf.data.Dataset.from_tensors(batch).repeat(plan.replays))

    epochs = tf.data.Dataset.range(first, plan.epochs, output_type=tf.int32)
    return epochs.flat_map(order).map(lambda rows: (tf.gather(x, rows), tf.gather(y, rows))).prefetch(2)


def collapsed(history: History) -> bool:
    """Whether training examples held out to watch have lost half of the accuracy under PGD that they once had.

    That is catastrophic overfitting to a one-step attack (arXiv 2001.03994); it happens within an epoch.
    """
    watched = [epoch["val_held_out"] for epoch in history if "val_held_out" in epoch]
    return len(watched) > 1 and watched[-1] < HALF * max(watched)


class ResumableCheckpoint(keras.callbacks.Callback):
    """Early stopping, best weights, learning curve and the state on disk, as one thing that can be restored."""

    def __init__(self, network: keras.Model, validate: Validate, plan: Plan, path: Path | None) -> None:
        super().__init__()
        self.network, self.validate, self.plan, self.path = network, validate, plan, path
        self.history: History = []
        self.best = network.get_weights()
        self.best_epoch = 0
        self._before = 0.0
        self._started = self._saved_at = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether the last epoch, the end of patience or a collapse has been reached."""
        waited = len(self.history) - 1 - self.best_epoch
        out_of_patience = self.plan.patience is not None and waited >= self.plan.patience
        return len(self.history) >= self.plan.epochs or out_of_patience or collapsed(self.history)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch, keep the weights if they are the best, stop when patience ends."""
        logs = {} if logs is None else logs
        # Callbacks after this one, such as a progress bar, see the validation figures too.
        logs.update({f"val_{name}": value for name, value in self.validate().items()})
        self.history.append({name: float(value) for name, value in logs.items()})
        best = self.history[self.best_epoch]["val_loss"]
        # Nothing is below a loss that is no number.
        if epoch == 0 or self.history[epoch]["val_loss"] < best or math.isnan(best):
            self.best, self.best_epoch = self.network.get_weights(), epoch
        self.model.stop_training = self.finished
        if self.path and time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def save(self) -> None:
        """Write weights, optimizer, best weights and history, whole or not at all."""
        if self.path is None:
            return
        state = {f"now_{i:03d}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        state |= {f"optimizer_{i:03d}": np.asarray(v) for i, v in enumerate(self.model.optimizer.variables)}
        state |= {f"best_{i:03d}": v for i, v in enumerate(self.best)}
        state["history"] = np.array(json.dumps([self.best_epoch, self.history]))
        self._saved_at = time.monotonic()
        state[SECONDS] = np.array(self._before + self._saved_at - self._started)
        write_arrays(self.path, state)

    def restore(self, model: keras.Model) -> int:
        """Put a saved state back.

        Returns:
            The epoch to go on with; 0 where nothing was saved.
        """
        state = None if self.path is None else resume(self.path, partial(self._read, model))
        if state is None:
            return 0
        for variable, value in state.variables:
            variable.assign(value)
        self.best, self.best_epoch, self.history = state.best, state.best_epoch, state.history
        self._before = state.seconds
        return len(self.history)

    def _read(self, model: keras.Model, stored: dict[str, NDArray[Any]]) -> "_State":
        """All of a state, so that one of another network, or of an older form, changes nothing of this training."""
        best = [stored[f"best_{index:03d}"] for index in range(len(self.best))]
        groups = {"now": model.variables, "optimizer": model.optimizer.variables}
        variables = [
            (variable, stored[f"{prefix}_{index:03d}"])
            for prefix, group in groups.items()
            for index, variable in enumerate(group)
        ]
        expected = [tuple(variable.shape) for variable, _ in variables] + [each.shape for each in self.best]
        found = [value.shape for _, value in variables] + [each.shape for each in best]
        if found != expected:
            raise ValueError("its arrays have the shapes of another network")
        best_epoch, history = json.loads(str(stored["history"]))
        if not 0 <= best_epoch < len(history) <= self.plan.epochs:
            raise ValueError(f"its best epoch is {best_epoch} of {len(history)}, {self.plan.epochs} are planned")
        return _State(variables, best, best_epoch, history, float(stored[SECONDS]))


@dataclass(frozen=True, eq=False)
class _State:
    """A state on disk, each variable with the value it had."""

    variables: list[tuple[keras.Variable, NDArray[Any]]]
    best: list[NDArray[Any]]
    best_epoch: int
    history: History
    seconds: float
