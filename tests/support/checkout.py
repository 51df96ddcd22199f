"""A checkout of the project of one's own, with a small table as its only task, and the commands typed in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.support.unpinned import unpinned

STORES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
COPIED = (
    "pipelines",
    "src",
    "expectations",
    "dvc.yaml",
    ".dvcignore",
    ".dvc/config",
    ".dvc/plots",
    ".gitignore",
    "params.yaml",
)
TABLE = "data/own/loans.csv"
TASK = {
    "kind": "classification",
    "source": TABLE,
    "target": "repaid",
    "features": ["income", "debt", "age"],
    "categorical": ["housing"],
    "missing": {"debt": "median", "age": "mean+indicator", "housing": "category"},
    "split": {"folds": 2},
    "sweep": {"batch_size": [32], "models": [{"kind": "linear"}, {"kind": "mlp", "units": [8]}], "epochs": 3},
    "train": {"epochs": 12, "patience": 4, "threshold": "balanced"},
    "harden": {"adversarial": {"epochs": 6, "steps": 2}, "certified": {"epochs": 6}, "smoothed": {"epochs": 4}},
    "eps": {"linf": 0.1, "l2": 0.1},
    "attack": {
        "linf": [0.1],
        "l2": [0.1],
        "points": 40,
        "steps": 3,
        "restarts": 1,
        "eot": 1,
        "queries": 10,
    },
    "certify": {"points": 5, "selection_draws": 20, "draws": 100, "radii": [0.1]},
    "gates": {"clean": 0.5, "robust": 0.2, "worse_than_linear": 0.5},
}


def loans(rows: int = 240) -> pd.DataFrame:
    """A table whose target can be learned, with empty cells as people's tables have them."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "income": rng.normal(3000, 800, rows).round(2),
            "debt": rng.normal(1000, 400, rows).round(2),
            "age": rng.integers(20, 70, rows),
            "housing": rng.choice(["rent", "own"], rows),
        }
    )
    owns = table["housing"] == "own"
    table = table.assign(repaid=np.where(table["income"] - table["debt"] + 400 * owns > 2200, "yes", "no"))
    for name, share in (("debt", 0.04), ("age", 0.15), ("housing", 0.1)):
        table.loc[rng.random(rows) < share, name] = np.nan
    return table


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's code and settings, and the commands typed in it."""

    folder: Path

    @classmethod
    def of(cls, project: Path, folder: Path) -> "Checkout":
        """Copy what a run needs and Git holds, but no data and no results, into a folder."""
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in COPIED:
            source, target = project / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
        (folder / "data" / "own").mkdir(parents=True)
        return cls(folder)

    def give_table(self, name: str, studies: dict[str, Any]) -> None:
        """Make the small table, under that name, the only task, beside some studies."""
        loans().to_csv(self.folder / TABLE, index=False)
        self.change(lambda params: params.update(run=[name], tasks={name: TASK}, studies=studies))

    def run(self, *command: str, timeout: int = 1000) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with the environment active."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def good(self, *command: str) -> str:
        """What a command that must succeed prints."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def environment(self) -> dict[str, str]:
        """As `source .venv/bin/activate` leaves it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # Other tests leave their own store in it: mlflow.set_tracking_uri writes to the environment. The code of a
        # checkout is compiled once for all its commands, whatever is wished for the project's own folder.
        left = (*STORES, "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in unpinned().items() if name not in left}
        return {**inherited, "PATH": path, "DVC_NO_ANALYTICS": "1"}

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Edit params.yaml."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        edit(params)
        path.write_text(yaml.safe_dump(params, sort_keys=False))
