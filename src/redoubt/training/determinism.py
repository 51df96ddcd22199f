"""Makes TensorFlow repeat itself: one seed, deterministic kernels, a fixed number of threads, sums in fixed blocks."""

import keras
import tensorflow as tf

from redoubt.training.block_sizes import pin_block_sizes


def make_deterministic(seed: int, threads: int = 0) -> None:
    """Call once per process before any network is built.

    Args:
        seed: of every generator that Keras, TensorFlow and NumPy hold globally.
        threads: of TensorFlow; 0 leaves the choice to it.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    pin_block_sizes()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # It merges additions into sums whose order, and so whose last bit, depends on which term is there first.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
