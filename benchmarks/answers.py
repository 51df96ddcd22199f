"""How long a bundle takes for an answer, for a proof, and for both, in one process.

Run from the project's top folder: `python -m benchmarks.answers [BUNDLE]` (default zoo/mnist-certified). Prints a
table, asserts nothing.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from redoubt.bundle.guarded_model import GuardedModel

SIZES, ROUNDS, EPS = {1: 300, 256: 15}, 3, 0.1


def main(bundle: Path) -> None:
    """Take turns between what is timed, so that a busy moment falls on all of them."""
    print(f"{bundle}, one thread, medians in ms")
    model = GuardedModel.load(bundle, threads=1)
    for examples, repeats in SIZES.items():
        x = np.random.default_rng(0).random((examples, *model.schema.shape), np.float32)
        took: dict[str, list[float]] = {"answer": [], "proof": []}
        calls: dict[str, Callable[[], object]] = {
            "answer": lambda x=x: model.predict(x, np.random.default_rng(0)),  # type: ignore[misc]
            "proof": lambda x=x: model.prove(x, EPS, np.random.default_rng(0)),  # type: ignore[misc]
        }
        for _ in range(ROUNDS + repeats):
            for name, call in calls.items():
                started = time.perf_counter()
                call()
                took[name].append(1000 * (time.perf_counter() - started))
        answer, proof = (median(took[name][ROUNDS:]) for name in calls)
        print(f"{examples:4d} examples: answer {answer:8.2f}, proof {proof:8.2f}, both {answer + proof:8.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "zoo/mnist-certified"))
