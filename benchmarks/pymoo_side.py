"""One side of `benchmarks.pymoo_peer`, for a Python that has pymoo and nothing of ours.

Reads a network, loans and limits, searches one loan after another with NumPy scores, writes the best candidates, and
prints CPU seconds and queries as JSON. What is mended is what the constraints of the loans say, written out.
"""

import json
import sys
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.rnsga3 import RNSGA3
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.util.ref_dirs import get_reference_directions

LOAN, TERM, RATE, INSTALLMENT, INCOME, OPEN, TOTAL, RECORDS, BANKRUPTCIES, BY_INCOME, BY_TOTAL = range(11)
TERMS = (36, 60)


class Network:
    """Scaled inputs, dense layers with ReLU between them: the margin of the second class over the first."""

    def __init__(self, held: Any) -> None:
        """Take the arrays that were handed over."""
        self.mean, self.spread = held["mean"], held["spread"]
        self.layers = [(held[f"kernel-{each}"], held[f"bias-{each}"]) for each in range(int(held["layers"]))]
        self.queries = 0

    def margin(self, x: Any) -> Any:
        """Of candidates `(rows, inputs)`; positive ones pass for paid."""
        self.queries += len(x)
        value = (x - self.mean) / self.spread
        for place, (kernel, bias) in enumerate(self.layers):
            value = (np.maximum(value, 0) if place else value) @ kernel + bias
        return value[:, 1] - value[:, 0]


class Limits:
    """Where the candidates of one loan may lie, and what of them is mended."""

    def __init__(self, x: Any, held: Any, asked: dict[str, Any]) -> None:
        """Take one loan `(inputs,)` and what holds for all."""
        self.x, self.scale, self.eps, self.places = x, held["scale"], asked["eps"], asked["places"]
        self.integer, self.box = held["integer"], (held["lower"], held["upper"])
        self.low = np.maximum(self.box[0], x - self.eps * self.scale)
        self.high = np.minimum(self.box[1], x + self.eps * self.scale)

    def mended(self, x: Any) -> Any:
        """Candidates `(rows, inputs)` with whole numbers and what follows from other columns; L2 eps is not mended."""
        x = np.clip(x, self.low, self.high)
        x = np.where(self.integer, np.round(x), x)
        column = {place: x[:, self.places[place]] for place in range(len(self.places))}
        near = np.where(column[TERM] < sum(TERMS) / 2, *TERMS)
        within = (near >= self.low[self.places[TERM]]) & (near <= self.high[self.places[TERM]])
        column[TERM] = np.where(within, near, self.x[self.places[TERM]])
        column[OPEN] = np.minimum(column[OPEN], column[TOTAL])
        column[BANKRUPTCIES] = np.minimum(column[BANKRUPTCIES], column[RECORDS])
        monthly = column[RATE] / 1200
        growth = (1 + monthly) ** column[TERM]
        column[INSTALLMENT] = column[LOAN] * monthly * growth / (growth - 1)
        column[BY_INCOME] = column[LOAN] / column[INCOME]
        column[BY_TOTAL] = column[OPEN] / column[TOTAL]
        for place in (TERM, OPEN, BANKRUPTCIES, INSTALLMENT, BY_INCOME, BY_TOTAL):
            x[:, self.places[place]] = column[place]
        # As it will be judged.
        return x.astype(np.float32).astype(np.float64)

    def distance(self, x: Any) -> Any:
        """L2, each feature by its range."""
        return np.sqrt(np.square((x - self.x) / self.scale).sum(axis=1))

    def outside(self, x: Any) -> Any:
        """How far mended columns leave the box, summed in units of its sides."""
        return (np.maximum(self.box[0] - x, 0) + np.maximum(x - self.box[1], 0)).sum(axis=1)


class Mended(Repair):
    """Every child, before it is asked about."""

    def __init__(self, limits: Limits) -> None:
        """Of one loan."""
        super().__init__()
        self.limits = limits

    def _do(self, problem: Any, x: Any, **_: Any) -> Any:
        return self.limits.mended(x)


class Search(Problem):
    """Margin and distance, of MOEVA the violation of constraints too; as constraints for NSGA-II."""

    def __init__(self, network: Network, limits: Limits, *, three: bool) -> None:
        """Search one loan with three objectives or with two."""
        self.network, self.limits, self.three = network, limits, three
        sides = {"xl": limits.low, "xu": np.maximum(limits.high, limits.low)}
        super().__init__(n_var=len(limits.x), n_obj=3 if three else 2, n_ieq_constr=0 if three else 2, **sides)
        self.best: Any = None

    def _evaluate(self, x: Any, out: Any, *_: Any, **__: Any) -> None:
        margin, far, outside = self.network.margin(x), self.limits.distance(x), self.limits.outside(x)
        found = np.flatnonzero((margin > 0) & (far <= self.limits.eps) & (outside == 0))
        if self.best is None and len(found):
            self.best = x[found[0]].copy()
        if self.three:
            out["F"] = np.stack([-margin, np.maximum(far - self.limits.eps, 0), outside], axis=1)
        else:
            out["F"] = np.stack([-margin, far], axis=1)
            out["G"] = np.stack([far - self.limits.eps, outside], axis=1)


def algorithm(name: str, limits: Limits, population: int, rng: Any) -> Any:
    """A search with the operators of MOEVA; its first candidates lie round the loan."""
    noise = rng.uniform(-1, 1, (population, len(limits.x))) * (rng.random((population, len(limits.x))) < 0.3)
    noise *= limits.eps * limits.scale
    first = limits.mended(limits.x + noise)
    operators = {
        "sampling": first,
        "crossover": TwoPointCrossover(),
        "mutation": PM(eta=20),
        "repair": Mended(limits),
        "eliminate_duplicates": False,
    }
    if name == "nsga2":
        return NSGA2(pop_size=population, **operators)
    return RNSGA3(
        ref_points=directions(population // 2), pop_per_ref_point=1, n_offsprings=population // 2, **operators
    )


@lru_cache
def directions(count: int) -> Any:
    """Reference points of three objectives, spread evenly; the same for every loan."""
    return get_reference_directions("energy", 3, count, seed=1)


def searched(name: str, held: Any, asked: dict[str, Any], network: Network) -> Any:
    """The best candidate of each loan, or the loan itself."""
    x_adv = held["x"].copy()
    for row, x in enumerate(held["x"]):
        start, rng = network.queries, np.random.default_rng([asked["seed"], row])
        limits = Limits(x, held, asked)
        problem = Search(network, limits, three=name == "rnsga3")
        made = algorithm(name, limits, asked["population"], rng)
        made.setup(problem, termination=("n_eval", 10 * asked["queries"]), seed=row, verbose=False)
        while problem.best is None and network.queries - start + asked["population"] <= asked["queries"]:
            made.next()
        x_adv[row] = x if problem.best is None else problem.best
    return x_adv


def main() -> None:
    """Search all loans, and say what it took."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    asked, held = json.loads((folder / "settings.json").read_text()), dict(np.load(folder / "data.npz"))
    # In its first generation R-NSGA-III divides by a range of 0.
    np.seterr(all="ignore")
    directions(asked["population"] // 2)
    network, spent = Network(held), time.process_time()
    x_adv = searched(name, held, asked, network)
    np.save(folder / f"{name}.npy", x_adv.astype(np.float32))
    found = {"cpu": time.process_time() - spent, "queries": network.queries, "pymoo": version("pymoo")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
