"""Settings of numerical libraries that would otherwise follow the machine, and change the last bit of a sum.

It imports no library: NumPy, its BLAS and TensorFlow read these variables once, when they are loaded.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

# A sum is split over threads, and its last bit depends on their number. OpenBLAS and OpenMP never start more than there
# are cores, so that one is the only number that every machine has; TensorFlow starts as many as it is told.
THREADS: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "1",
}
# A sum over wider registers is another sum: none is wider than AVX2's, which every server's processor has had for ten
# years. TensorFlow's own kernels instead of oneDNN's, which it takes on some processors and not on others.
INSTRUCTIONS: Mapping[str, str] = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
NEEDED = {"avx2", "fma"}
CPU = Path("/proc/cpuinfo")


def pin() -> None:
    """Set them for this process and its children, whatever was set before; call it before NumPy is imported."""
    os.environ.update(THREADS)
    if has_avx2():
        os.environ.update(INSTRUCTIONS)


def has_avx2() -> bool:
    """Whether this is Linux on an x86-64 processor with AVX2: told to use it elsewhere, OpenBLAS ends the process."""
    if platform.machine() != "x86_64":
        return False
    try:
        text = CPU.read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(flags.split()) >= NEEDED
