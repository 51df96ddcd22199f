"""The guard's randomness in service: fresh from the system with every draw, so that nobody can foresee it."""

import math
import os
import secrets

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats


class Entropy:
    """Stands for a generator. A new one of NumPy's, seeded likewise, would take longer than what is drawn from it."""

    def random(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers in [0, 1), each equally likely, of 53 bits as NumPy's are."""
        bits = np.frombuffer(os.urandom(8 * math.prod(shape)), dtype=np.uint64)
        return (bits >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53

    def standard_normal(self, shape: tuple[int, ...], dtype: type[np.float32]) -> Floats:
        """Numbers of the standard normal distribution, of the one type that is asked for."""
        return np.random.default_rng(secrets.randbits(128)).standard_normal(shape, dtype=np.float32)
