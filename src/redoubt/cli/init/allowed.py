"""What `validate` would refuse of a user's table by its defaults, and has to be allowed for these data."""

import math
from collections.abc import Collection

import pandas as pd

from redoubt.data.shared.dataset import Raw
from redoubt.params.settings.sections import ValidateParams


def allowed(raw: Raw, defaults: ValidateParams, dropped: Collection[str] = ()) -> dict[str, float]:
    """The limits that must be raised or lowered for a table to pass, by their keys in `validate`.

    Args:
        raw: the table with the proposed columns.
        defaults: what `validate` allows by itself.
        dropped: columns a row of which is declared to be left out if its cell is empty.
    """
    table = pd.DataFrame(raw.table)
    filled = [column.name for column in raw.schema.columns if column.missing]
    empty = float(table.drop(columns=[*filled, *dropped]).isna().mean().max())
    repeated = float(table.duplicated(keep=False).mean())
    found: dict[str, float] = {}
    if empty > defaults.max_missing:
        found["max_missing"] = _up(empty)
    if repeated > defaults.max_duplicates:
        found["max_duplicates"] = _up(repeated)
    if raw.schema.is_classification:
        rarest = float(table[raw.schema.target].value_counts(normalize=True).min())
        if rarest < defaults.min_class_share:
            found["min_class_share"] = _down(rarest)
    return found


def _up(share: float) -> float:
    return min(1.0, math.ceil(share * 100 + 0.5) / 100)


def _down(share: float) -> float:
    return math.floor(share * 1000) / 1000
