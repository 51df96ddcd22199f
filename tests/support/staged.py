"""The files of a small task as far as its first stages bring it, made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd

from redoubt.core.store import write_json
from redoubt.data import splits
from redoubt.data.prepare import scaling
from redoubt.data.shared import dataset
from redoubt.data.shared.dataset import Raw
from redoubt.data.splits import Split
from tests.support.tiny import SCHEMAS, TABLE, rows

COUNT = 60


def put_rows(order: np.ndarray) -> None:
    """The tiny table as `data/raw/risk`, one row with an empty cell, and a split of its whole rows."""
    batch = rows(TABLE, COUNT)
    table = pd.DataFrame(
        {
            "weight": batch.x[:, 0].astype(float),
            "age": batch.x[:, 1].astype(float),
            "colour": np.where(batch.x[:, 3] == 1, "green", "red"),
            "risk": np.where(batch.y == 1, "low", "high"),
        }
    )
    table.loc[0, "age"] = np.nan
    dataset.save(Path("data/raw/risk"), Raw(SCHEMAS[TABLE], "own.csv", "own.csv", table=table))
    parts = [np.sort(part) for part in np.split(order, [35, 47])]
    splits.write(Path("data/splits/risk.npz"), Split(*parts, fold=np.arange(35) % 2))
    stored = dataset.load(Path("data/raw/risk"))
    whole = scaling.fit(stored.batch.take(parts[0]), stored.schema).to_json()
    write_json(Path("models/risk/scaler.json"), {"whole": whole, "folds": [whole, whole]})
