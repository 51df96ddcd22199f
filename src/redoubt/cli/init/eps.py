"""What the proposed eps means in the units of the user's own columns."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from redoubt.data.shared.dataset import Raw, complete
from redoubt.data.shared.survey import listed
from redoubt.params.settings.sections import Eps

SHOWN = 8
# By so many standard deviations the quartiles of a normal distribution lie apart.
QUARTILES_APART = 1.349


def sized(raw: Raw, eps: Eps, skewed: Iterable[str]) -> Eps:
    """An eps with a size of its own for skewed features, whose standard deviation is that of a few large values.

    Args:
        raw: the data.
        eps: per norm.
        skewed: features; of one whose quartiles are the same the standard deviation stays.
    """
    cells = _numbers(raw)
    widths = {name: float(np.subtract(*np.quantile(cells[name], [0.75, 0.25]))) for name in skewed}
    sizes = {name: _short(eps.linf * width / QUARTILES_APART) for name, width in widths.items() if width > 0}
    return eps.model_copy(update={"features": sizes})


def _short(size: float) -> float:
    return float(f"{size:.2g}")


def _numbers(raw: Raw) -> dict[str, "pd.Series[float]"]:
    """The features that an attacker can change, of the rows that are used, empty cells filled in."""
    table = pd.DataFrame(raw.table)[complete(pd.DataFrame(raw.table), raw.schema)]
    names = [column.name for column in raw.schema.columns if column.kind != "category" and not column.immutable]
    return {name: table[name].fillna(table[name].median()) for name in names}


def eps_in_words(raw: Raw, eps: Eps) -> str:
    """A comment for the key `eps`: L-inf in raw units, and what it cannot change.

    Args:
        raw: the data; deviations here are of all rows that are used, the pipeline's of the training rows.
        eps: per norm.
    """
    if raw.table is None:
        each = f"L-inf {eps.linf:g} = {eps.linf * 255:.3g} of 255 each"
        return f"of pixel values in [0, 1]: {each}, L2 {eps.l2:g} of all together"
    cells = _numbers(raw)
    whole = [column.name for column in raw.schema.columns if column.kind == "integer" and column.name in cells]
    deviations = {name: eps.linf * float(np.std(values.to_numpy(float))) for name, values in cells.items()}
    reach = {**deviations, **eps.features}
    fixed = [name for name in whole if reach[name] < 1]
    moving = [f"{name} {size:.3g}" for name, size in reach.items() if name not in {*fixed, *eps.features}]
    nothing = "nothing that can change" if not eps.features else "nothing but what `features` says"
    lines = [f"in standard deviations; L-inf {eps.linf:g} = {listed(moving, SHOWN) or nothing}"]
    if eps.features:
        lines.append("features: in raw units what L-inf stands for; of skewed ones the deviation of their middle half")
    if fixed:
        lines.append(f"too small to reach the next whole number of: {listed(fixed, SHOWN)}")
    words = ["categories"] if any(column.kind == "category" for column in raw.schema.columns) else []
    beyond = " and ".join([*words, *(["dates"] if raw.schema.dates else [])])
    if beyond:
        lines.append(f"{beyond} cannot be perturbed")
    return "\n".join(lines)
