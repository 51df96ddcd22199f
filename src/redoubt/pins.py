"""Settings of numerical libraries that would otherwise follow the machine, and change the last bit of a sum.

It imports nothing: NumPy, its BLAS and TensorFlow read these variables once, when they are loaded.
"""

import os
from collections.abc import Mapping

# A sum is split over threads, and its last bit depends on their number. OpenBLAS and OpenMP never start more than there
# are cores, so that one is the only number that every machine has; TensorFlow starts as many as it is told.
THREADS: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "1",
}


def pin() -> None:
    """Set them for this process and its children, whatever was set before; call it before NumPy is imported."""
    os.environ.update(THREADS)
