"""What the proposed eps means in the units of the user's own columns."""

import numpy as np
import pandas as pd

from redoubt.data.shared.dataset import Raw, complete
from redoubt.data.shared.survey import listed
from redoubt.params.settings.sections import Eps

SHOWN = 8


def eps_in_words(raw: Raw, eps: Eps) -> str:
    """A comment for the key `eps`: L-inf in raw units, and what it cannot change.

    Args:
        raw: the data; deviations here are of all rows that are used, the pipeline's of the training rows.
        eps: per norm.
    """
    if raw.table is None:
        each = f"L-inf {eps.linf:g} = {eps.linf * 255:.3g} of 255 each"
        return f"of pixel values in [0, 1]: {each}, L2 {eps.l2:g} of all together"
    table = pd.DataFrame(raw.table)[complete(pd.DataFrame(raw.table), raw.schema)]
    numbers = [column for column in raw.schema.columns if column.kind != "category"]
    cells = {column.name: table[column.name].fillna(table[column.name].median()) for column in numbers}
    reach = {name: eps.linf * float(np.std(values.to_numpy(float))) for name, values in cells.items()}
    fixed = [column.name for column in numbers if column.kind == "integer" and reach[column.name] < 1]
    moving = [f"{name} {size:.3g}" for name, size in reach.items() if name not in fixed]
    lines = [f"in standard deviations; L-inf {eps.linf:g} = {listed(moving, SHOWN) or 'nothing that can change'}"]
    if fixed:
        lines.append(f"too small to reach the next whole number of: {listed(fixed, SHOWN)}")
    if len(numbers) < len(raw.schema.columns):
        lines.append("categories cannot be perturbed")
    return "\n".join(lines)
