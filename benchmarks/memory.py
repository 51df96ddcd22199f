"""What an attack on 10,000 MNIST images holds at most, in a process of its own: `python -m benchmarks.memory pgd`.

Few steps: an attack keeps no history, so that more of them hold no more.
"""

import argparse
import json
import resource
import subprocess
import sys

import psutil

POINTS, STEPS, TARGETS, QUERIES, RESTARTS, SEED = 10_000, 40, 3, 50, 2, 20
KINDS = ("pgd", "ensemble")


def measure(kind: str) -> dict[str, float]:
    """MiB of a new process: after TensorFlow and the network are there, and at the most.

    Raises:
        RuntimeError: the process failed; the message ends with what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", kind], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the memory of {kind} could not be measured:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _attack(kind: str) -> dict[str, float]:
    from redoubt.quiet import import_tensorflow

    import_tensorflow()
    from benchmarks.mnist import ADVERSARIAL, images, test_rows, victim
    from redoubt.attacks.core.gradient import PGD
    from redoubt.attacks.ensemble import Ensemble

    raw = images()
    subject = victim(ADVERSARIAL, raw, SEED)
    batch = test_rows(raw, POINTS, SEED)
    problem = subject.problem("linf")
    problem.predict(batch.x[:1])
    before = psutil.Process().memory_info().rss / 2**20
    few = Ensemble(steps=STEPS // 4, targets=TARGETS, queries=QUERIES, restarts=RESTARTS)
    attack = PGD(steps=STEPS) if kind == "pgd" else few
    attack(problem, batch.x, batch.y, eps=subject.eps, seed=SEED)
    return {"before": before, "most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}


def main() -> None:
    """Attack, and print a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    print(json.dumps(_attack(parser.parse_args().kind)))


if __name__ == "__main__":
    main()
