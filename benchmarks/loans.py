"""Loans with related columns, as LCLD's are: an attack that ignores the relations beside those that keep them.

The loans are simulated from a fixed seed, with those constraints of LCLD (Lending Club) that one line each can say.
Prints tables in Markdown beside the figures that TabularBench publishes for LCLD and URL; asserts nothing. `--csv PATH`
writes the loans instead, for a task of one's own. Run from the project's top folder.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import pipelines._quiet  # noqa: F401
from redoubt.attacks.apgd import APGD
from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.attacks.genetic import GeneticSearch
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Bounds, Floats
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.evaluation.metrics import class_metrics, rate
from redoubt.evaluation.redraws import Flags
from redoubt.models.networks import build
from redoubt.params.settings.networks import Mlp
from redoubt.training.fit import Plan, compile_network, fit, on_rows

RATE = "(rate / 1200)"
LINES = (
    f"loan * {RATE} * (1 + {RATE}) ** term / ((1 + {RATE}) ** term - 1) == installment",
    "ratio_loan == loan / income",
    "ratio_open == open / total",
    "open <= total",
    "bankruptcies <= records",
    "term in [36, 60]",
)
INTEGER = ("term", "employed", "open", "total", "records", "bankruptcies", "fico")
# Of TabularBench: L2, each feature by its range.
EPS = 0.5
# Accuracy on the attacked class, clean -> CAA, L2 0.5 after min-max scaling (tables of the TabularBench website).
PUBLISHED = """| TabularBench | clean | attack without constraints | CAA |
|---|---|---|---|
| LCLD, RLN | 68.3 | 68.3 | 0.02 |
| LCLD, TabTransformer, adversarially trained | 73.9 | | 70.3 |
| URL, TabTransformer | 93.6 | | 8.9 |
| URL, RLN, adversarially trained | 95.2 | | 56.2 |
"""


def loans(count: int, seed: int) -> pd.DataFrame:
    """Loans as they are granted, one of two not paid back, which is hard to tell: about two of three by any model.

    Args:
        count: rows.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    fico = np.clip(rng.normal(700, 32, count), 620, 850).round()
    term = np.where(rng.random(count) < 0.3, 60, 36)
    income = np.exp(rng.normal(11.1, 0.5, count)).clip(12_000, 400_000).round()
    loan = (income * rng.uniform(0.04, 0.45, count)).clip(1000, 40_000).round(-2)
    percent = np.clip(32 - 0.033 * (fico - 300) + 2.5 * (term == 60) + rng.normal(0, 2.2, count), 5.3, 31).round(2)
    monthly = percent / 1200
    growth = (1 + monthly) ** term
    total = rng.poisson(16, count) + 3
    opened = rng.binomial(total - 1, 0.45) + 1
    records = rng.poisson(0.25, count)
    dti, used = rng.gamma(4, 4.5, count).clip(0, 60).round(2), rng.beta(2, 2, count).round(3) * 100
    risk = -0.7 + 0.13 * (percent - 16) + 0.035 * (dti - 18) + 0.5 * (term == 60) + 2.2 * (loan / income - 0.22)
    risk += -0.012 * (fico - 700) + 0.25 * records - 0.4 * np.log(income / 66_000) + 1.2 * (opened / total - 0.47)
    table = {
        **{"loan": loan, "term": term, "rate": percent, "installment": loan * monthly * growth / (growth - 1)},
        **{"income": income, "dti": dti, "employed": rng.integers(0, 11, count), "fico": fico, "used": used},
        **{"open": opened, "total": total, "records": records, "bankruptcies": rng.binomial(records, 0.5)},
        **{"ratio_loan": loan / income, "ratio_open": opened / total},
    }
    defaulted = rng.random(count) < 1 / (1 + np.exp(-risk))
    return pd.DataFrame({**table, "status": np.where(defaulted, "charged off", "paid")})


def schema_of(table: pd.DataFrame) -> Schema:
    """Of the loans."""
    names = [name for name in table if name != "status"]
    kinds = {name: "integer" if name in INTEGER else "number" for name in names}
    columns = tuple(Column(name=name, kind=kind) for name, kind in kinds.items())
    shape, labels = (len(columns),), ("charged off", "paid")
    return Schema(
        task="loans",
        kind="classification",
        target="status",
        columns=columns,
        shape=shape,
        labels=labels,
        relations=LINES,
    )


def batch_of(table: pd.DataFrame) -> Batch:
    """As a network takes them; class 0 is charged off."""
    x = table.drop(columns="status").to_numpy(np.float32)
    return Batch(x, (table["status"] == "paid").to_numpy(np.int64))


@dataclass(frozen=True, eq=False)
class Victim:
    """A trained network, its examples and the box they live in.

    Attributes:
        network: logits of "charged off" and "paid".
        test: of both classes.
        bounds: the range of each feature is the unit of eps.
        names: of the features.
    """

    network: keras.Model
    test: Batch
    bounds: Bounds
    names: tuple[str, ...]

    @property
    def attacked(self) -> Batch:
        """Loans that are not paid back: whoever asks for them wants to pass for a good customer."""
        return self.test.take(np.flatnonzero(self.test.y == 0))

    def robust(self, x_adv: Floats) -> Flags:
        """Which attacked examples are still classified correctly."""
        right: Flags = self.network(x_adv).numpy().argmax(axis=1) == self.attacked.y
        return right

    def mcc(self, robust: Flags) -> float:
        """Matthews' correlation on all examples, those of the other class unperturbed."""
        said = self.network(self.test.x).numpy().argmax(axis=1)
        said[self.test.y == 0] = np.where(robust, 0, 1)
        return class_metrics(said, self.test.y, 2)["mcc"]


def train(rows: int, seed: int) -> Victim:
    """A small network, by cross-entropy."""
    table = loans(20_000 + rows, seed)
    schema, learnt, test = schema_of(table), batch_of(table[rows:]), batch_of(table[:rows])
    scaler = fit_scaler(learnt, schema)
    network = build(Mlp(kind="mlp", units=(64, 32)), schema, scaler, seed=seed)
    plan = Plan(epochs=15, batch_size=128, learning_rate=0.003, decay=True)
    compile_network(network, plan, len(learnt), schema.outputs)
    fit(network, network, learnt, on_rows(network, test), plan)
    bounds = scaler.bounds(schema).covering(test.x)
    ranged = replace(bounds, scale=(bounds.upper - bounds.lower).astype(np.float32))
    return Victim(network, test, ranged, tuple(schema.input_names))


def attacks(queries: int) -> Mapping[str, Attack]:
    """Those whose worst case is CAA."""
    return {"CAPGD": APGD(steps=100), "genetic search": GeneticSearch(queries=queries)}


def table(victim: Victim, queries: int, seed: int) -> str:
    """One line per attack: robust accuracy on the attacked class, and MCC of both classes."""
    batch, related = victim.attacked, victim.bounds.relations
    clean = victim.robust(batch.x)
    lines = {"none": clean}
    problem = AttackProblem(of_network(victim.network), Untargeted(), "l2", victim.bounds)
    free = replace(problem, bounds=replace(victim.bounds, relations=None), compiled={})
    ignoring = APGD(steps=100)(free, batch.x, batch.y, eps=EPS, seed=seed)
    broken = related.broken(batch.x, ignoring).any(axis=1) if related else np.zeros(len(batch), np.bool_)
    lines["APGD that ignores the relations, as it says itself"] = victim.robust(ignoring)
    lines["the same, its valid records alone"] = np.where(broken, clean, victim.robust(ignoring))
    union = clean
    for name, attack in attacks(queries).items():
        lines[name] = victim.robust(attack(problem, batch.x, batch.y, eps=EPS, seed=seed))
        union = union & lines[name]
    lines["CAA: both"] = union
    said = [
        f"| attack, L2 {EPS:g} of each range | robust accuracy, charged off ({len(batch)}) | MCC |\n|---|---|---|\n"
    ]
    for name, robust in lines.items():
        share = rate(robust)
        ends = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
        said.append(f"| {name} | {100 * share.share:.1f} % ({ends}) | {victim.mcc(robust):.2f} |\n")
    return "".join(said)


def main() -> None:
    """Print the tables, or write the loans."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=600, help="tested, of both classes (600)")
    parser.add_argument("--queries", type=int, default=2000, help="of the search per example (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the loans, the training and the attacks (0)")
    parser.add_argument("--csv", type=Path, help="write that many loans there, and train nothing")
    args = parser.parse_args()
    if args.csv:
        loans(args.rows, args.seed).to_csv(args.csv, index=False, lineterminator="\n")
        return
    print(table(train(args.rows, args.seed), args.queries, args.seed))
    print(PUBLISHED, end="")


if __name__ == "__main__":
    main()
