"""How eps rises over the first updates of a training."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class EpsSchedule:
    """What rises from 0 to its full value over the first updates of a training, and stays.

    Attributes:
        eps: the full value.
        updates: it takes, >= 0.
    """

    eps: float
    updates: int

    def share(self, update: tf.Tensor) -> tf.Tensor:
        """How much of it is reached at an update, in [0, 1]."""
        return tf.minimum(1.0, tf.cast(update, tf.float32) / self.updates) if self.updates else tf.constant(1.0)
