"""Where every ReLU is held active or inactive the network is linear, and a linear program finds its minimum."""

import numpy as np
from scipy import optimize

from redoubt.certify.affine import Doubles
from redoubt.certify.crown import Reduced

# What a unit of a broken condition costs, in the unit of the row: an empty part has a large minimum.
PENALTY = 1e4


def minimize(reduced: Reduced, row: Doubles, splits: Doubles) -> tuple[Doubles, Doubles]:
    """Minimize a row over a part, by a linear program.

    Args:
        reduced: the network on its box.
        row: of the variables, `(variables,)`.
        splits: 1 where a ReLU is held active, -1 inactive; no 0, `(relus,)`.

    Returns:
        Multipliers >= 0 of the conditions, `(relus,)`, and the free inputs of the minimum, `(inputs,)`.
    """
    inputs = len(reduced.low)
    variables, constant = np.eye(inputs), np.zeros(inputs)
    read, level = np.zeros((0, inputs)), np.zeros(0)
    for block in reduced.blocks:
        mine, offset = block.weights @ variables, block.weights @ constant + block.offset
        active = splits[len(read) : len(read) + len(offset)] > 0.0
        read, level = np.concatenate([read, mine]), np.concatenate([level, offset])
        variables = np.concatenate([variables, np.where(active[:, None], mine, 0.0)])
        constant = np.concatenate([constant, np.where(active, offset, 0.0)])
    found = optimize.linprog(
        np.concatenate([row @ variables, [PENALTY]]),
        A_ub=np.concatenate([-splits[:, None] * read, -np.ones((len(read), 1))], axis=1),
        b_ub=splits * level,
        bounds=[*zip(reduced.low, reduced.high, strict=True), (0.0, None)],
    )
    if found.x is None:
        return np.zeros(len(read)), reduced.low
    return np.maximum(-found.ineqlin.marginals, 0.0), np.clip(found.x[:-1], reduced.low, reduced.high)
