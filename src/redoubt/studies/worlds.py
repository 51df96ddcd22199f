"""Data sets drawn again and again from Pokémon Go's own formula, whose truth is known exactly."""

from dataclasses import astuple, dataclass
from functools import cache

import numpy as np
import pandas as pd

from redoubt.data import pokemon_go
from redoubt.studies.contract import Doubles
from redoubt.studies.given import SPECIES, Evolutions

# No simulated CP before evolution is above it.
TOP_CP = 710.0


@dataclass(frozen=True)
class Truth:
    """CP after evolution given CP before, over all individuals that the simulator can draw.

    Attributes:
        cp: every CP before evolution, rising.
        share: how often it occurs; sums to 1.
        mean: of the CP after it: the best that any function of the CP can answer.
        noise: variance round that mean, which no function of the CP can answer.
    """

    cp: Doubles
    share: Doubles
    mean: Doubles
    noise: Doubles


@cache
def truth() -> Truth:
    """Count all species, levels, IVs and outcomes instead of drawing them."""
    parts = (
        _outcomes(species, outcome, level)
        for species in pokemon_go.SPECIES.values()
        for level in np.arange(2 * species.lowest_level, 2 * pokemon_go.TOP_LEVEL + 1) / 2
        for outcome in species.evolved
    )
    cp, after, share = (np.concatenate(part) for part in zip(*parts, strict=True))
    total, first, second = (np.bincount(cp.astype(int), share * after**power).astype(np.float64) for power in (0, 1, 2))
    seen = np.flatnonzero(total)
    mean = first[seen] / total[seen]
    return Truth(seen.astype(float), total[seen], mean, np.maximum(second[seen] / total[seen] - mean**2, 0.0))


def _outcomes(species: pokemon_go.Species, outcome: pokemon_go.Stats, level: float) -> tuple[Doubles, Doubles, Doubles]:
    """CP before and after, and the share of all draws, of every combination of IVs."""
    ivs = np.stack(np.meshgrid(*[np.arange(16.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    cpm = pokemon_go.multiplier(np.full(len(ivs), level))
    before, after = (pokemon_go.combat_power(np.array(astuple(stats)) + ivs, cpm) for stats in (species.base, outcome))
    levels = 2 * (pokemon_go.TOP_LEVEL - species.lowest_level) + 1
    return before, after, np.full(len(ivs), species.share / (levels * len(species.evolved) * len(ivs)))


def draw(rng: np.random.Generator, worlds: int, rows: int) -> tuple[Doubles, Doubles]:
    """CP before and after evolution, each `(worlds, rows)`."""
    drawn = pokemon_go.simulate(rng, worlds * rows)
    before, after = (drawn[name].to_numpy(float).reshape(worlds, rows) for name in ("cp", "newcp"))
    return before, after


def columns(cp: Doubles, degree: int) -> Doubles:
    """Legendre polynomials of degree 0, 1, ... of the CP, scaled to [-1, 1]: all are of one size there."""
    return np.asarray(np.polynomial.legendre.legvander(2 * cp / TOP_CP - 1, degree))


def fit(cp: Doubles, after: Doubles, degree: int, penalty: float = 0.0) -> Doubles:
    """Weights `(worlds, degree + 1)` of the polynomial of `columns` in every world.

    Args:
        cp: before evolution, `(worlds, rows)`.
        after: evolution, likewise.
        degree: of the polynomial.
        penalty: on the sum of squared weights but the constant's, beside the sum of squared errors.
    """
    design = columns(cp, degree)
    ridge = np.sqrt(penalty) * np.eye(degree + 1)[1:]
    stacked = np.concatenate([design, np.broadcast_to(ridge, (len(cp), *ridge.shape))], axis=1)
    target = np.concatenate([after, np.zeros((len(cp), degree))], axis=1)
    return np.asarray((np.linalg.pinv(stacked) @ target[..., None])[..., 0])


def collections(rng: np.random.Generator, count: int) -> list[Evolutions]:
    """Simulated tables of 75 evolutions with the species of the course's."""
    rows = sum(SPECIES.values())
    # Twice as many as needed, as the rarest species may come seldom.
    pool = pokemon_go.simulate(rng, 2 * count * rows + 1000)
    kinds = {name: pool[pool["species"] == name] for name in SPECIES}
    return [
        Evolutions(
            pd.concat([kinds[name][index * n : (index + 1) * n] for name, n in SPECIES.items()], ignore_index=True),
            real=False,
        )
        for index in range(count)
    ]
