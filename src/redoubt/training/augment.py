"""Images turned, enlarged and shifted anew for every update: what is robust generalizes worse (arXiv 2103.01946)."""

from dataclasses import dataclass

import tensorflow as tf

from redoubt.attacks.transformations import Transformations, row_seeds
from redoubt.core.types import Bounds

# Sets these draws apart from those of attack and noise, which start at the same two numbers.
STREAM = 3


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Moves every image of a batch by a draw of its own.

    Attributes:
        transformations: from which each is drawn.
        bounds: what lies beyond an image's edge is `lower`; values stay within.
    """

    transformations: Transformations
    bounds: Bounds

    def __call__(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Move a batch `(examples, height, width, channels)` by the seed `(2,)` int32 of its update."""
        return self.transformations(x, row_seeds(tf.stack([seed[0] + STREAM, 0]), seed[1], tf.shape(x)[0]), self.bounds)
