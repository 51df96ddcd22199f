"""Our evolutionary search and pymoo's R-NSGA-III and NSGA-II: the same network, loans, limits and queries.

pymoo is installed apart; see docs/eps.md. R-NSGA-III with three objectives is what MOEVA does (arXiv 2112.01156), here
with the same repair of related columns, as CAA has it. Every result is judged by the scorer of ours. Prints robust
accuracy, MCC, queries and CPU seconds; asserts nothing. Run from the project's top folder.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import pipelines._quiet  # noqa: F401
from benchmarks.loans import Victim, train
from redoubt.attacks.core.base import check_result
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_network
from redoubt.attacks.genetic import GeneticSearch
from redoubt.core.types import Floats
from redoubt.evaluation.metrics import rate
from redoubt.evaluation.redraws import Flags

PYTHON = Path(".redoubt/pymoo/bin/python")
COLUMNS = ("loan", "term", "rate", "installment", "income", "open", "total", "records", "bankruptcies")
RATIOS = ("ratio_loan", "ratio_open")
SEARCHES = {"rnsga3": "pymoo, R-NSGA-III (MOEVA)", "nsga2": "pymoo, NSGA-II"}
# In one generation of R-NSGA-III the half of them are new, as in MOEVA.
POPULATIONS = {"rnsga3": 40, "nsga2": 20}


def hand_over(victim: Victim, folder: Path) -> None:
    """Write the network, the loans and their limits for `benchmarks.pymoo_side`."""
    scaler = victim.network.get_layer("scaler")
    dense = [layer for layer in victim.network.layers if layer.weights]
    arrays: dict[str, Any] = {"mean": np.ravel(scaler.mean), "spread": np.sqrt(np.ravel(scaler.variance))}
    for place, layer in enumerate(dense):
        arrays |= {f"kernel-{place}": layer.get_weights()[0], f"bias-{place}": layer.get_weights()[1]}
    bounds = victim.bounds
    arrays |= {"lower": bounds.lower, "upper": bounds.upper, "scale": bounds.scale, "integer": bounds.integer}
    np.savez(folder / "data.npz", x=victim.attacked.x, layers=len(dense), **arrays)


def by_pymoo(name: str, python: Path, folder: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], Floats]:
    """What one of its searches took, and its candidates."""
    (folder / "settings.json").write_text(json.dumps({**settings, "population": POPULATIONS[name]}))
    side = Path(__file__).with_name("pymoo_side.py")
    ended = subprocess.run([python, side, folder, name], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise SystemExit("error: the process with pymoo ended; what it said is above")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found, np.load(folder / f"{name}.npy")


def robust(victim: Victim, problem: AttackProblem, x_adv: Floats, eps: float) -> Flags:
    """Which loans are still classified correctly; a candidate that breaks a rule has changed nothing."""
    x = victim.attacked.x
    kept = x_adv.copy()
    for row in range(len(x)):
        try:
            check_result(x[row : row + 1], x_adv[row : row + 1], problem, eps)
        except AttackError:
            kept[row] = x[row]
    return victim.robust(kept)


def compare(victim: Victim, python: Path, eps: float, queries: int, seed: int) -> str:
    """One line per search."""
    problem = AttackProblem(of_network(victim.network), Untargeted(), "l2", victim.bounds)
    x, y, lines = victim.attacked.x, victim.attacked.y, []
    attack = GeneticSearch(queries=queries)
    attack(problem, x[:4], y[:4], eps=eps, seed=seed)
    start = time.process_time()
    counted = attack.count(problem, x, y, eps=eps, seed=seed)
    spent = {"cpu": time.process_time() - start, "queries": int(counted.queries.sum())}
    lines.append(("here, genetic search", spent, robust(victim, problem, counted.x_adv, eps)))
    places = [list(victim.names).index(name) for name in (*COLUMNS, *RATIOS)]
    settings = {"eps": eps, "queries": queries, "seed": seed, "places": places}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hand_over(victim, folder)
        for key, called in SEARCHES.items():
            taken, x_adv = by_pymoo(key, python, folder, settings)
            lines.append((f"{called} {taken['pymoo']}", taken, robust(victim, problem, x_adv, eps)))
    said = []
    for called, taken, flags in lines:
        mean = taken["queries"] / len(x)
        said.append(
            f"| {eps:g} | {queries:,} | {called} | {100 * rate(flags).share:.1f} % | {victim.mcc(flags):.2f}"
            f" | {mean:.0f} | {taken['cpu']:.1f} |\n"
        )
    return "".join(said)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", type=Path, default=PYTHON, help=f"with pymoo ({PYTHON})")
    parser.add_argument("--rows", type=int, default=600, help="loans tested, of both classes (600)")
    parser.add_argument("--queries", type=int, nargs="+", default=[200, 2000], help="per loan (200 2000)")
    parser.add_argument(
        "--eps", type=float, nargs="+", default=[0.05, 0.1], help="L2, each range for a unit (0.05 0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the loans, the training and the searches (0)")
    args = parser.parse_args()
    victim = train(args.rows, args.seed)
    print("| L2 eps | queries | search | robust accuracy | MCC | queries spent per loan | CPU seconds |")
    print("|---|---|---|---|---|---|---|")
    for eps in args.eps:
        for queries in args.queries:
            print(compare(victim, args.python, eps, queries, args.seed), end="", flush=True)


if __name__ == "__main__":
    main()
