"""Pokémon Go evolutions drawn from the game's published formula: a known truth with as many rows as asked for."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = ("species", "cp", "hp", "weight", "height", "newcp")

# CP multiplier at levels 1, 2, ..., 40.
_CPM = (
    0.094, 0.16639787, 0.21573247, 0.25572005, 0.29024988, 0.3210876, 0.34921268, 0.37523559,
    0.39956728, 0.42250001, 0.44310755, 0.46279839, 0.48168495, 0.49985844, 0.51739395, 0.53435433,
    0.55079269, 0.56675452, 0.58227891, 0.59740001, 0.61215729, 0.62656713, 0.64065295, 0.65443563,
    0.667934, 0.68116492, 0.69414365, 0.70688421, 0.71939909, 0.7317, 0.73776948, 0.74378943,
    0.74976104, 0.75568551, 0.76156384, 0.76739717, 0.7731865, 0.77893275, 0.78463697, 0.79030001,
)  # fmt: skip


@dataclass(frozen=True)
class Stats:
    """Base stamina, attack and defense of a species, in the numbers of September 2016."""

    stamina: int
    attack: int
    defense: int


@dataclass(frozen=True)
class Species:
    """What is caught, and what it may become.

    Attributes:
        base: stats before evolution.
        evolved: stats of each equally likely outcome.
        share: of all rows.
        lowest_level: individuals are drawn evenly from here to `TOP_LEVEL`.
        weight: typical weight in kg.
    """

    base: Stats
    evolved: tuple[Stats, ...]
    share: float
    lowest_level: int
    weight: float


# Shares, levels and weights are those of the 75 real rows. Their collector spent candy only on strong Eevees, the
# rarest of the four, hence the higher level; no row needs one above 23, about what a player had reached that summer.
SPECIES = {
    "Pidgey": Species(Stats(80, 94, 90), (Stats(126, 126, 122),), 39 / 75, 1, 1.8),
    "Weedle": Species(Stats(80, 68, 64), (Stats(90, 62, 82),), 20 / 75, 1, 3.2),
    "Caterpie": Species(Stats(90, 62, 66), (Stats(100, 56, 86),), 10 / 75, 1, 2.9),
    "Eevee": Species(
        Stats(110, 114, 128), (Stats(260, 186, 168), Stats(130, 192, 174), Stats(130, 238, 178)), 6 / 75, 18, 6.5
    ),
}
TOP_LEVEL = 23

# All four species are 0.3 m tall on average. The logarithm of the real heights spreads by 0.12 round that of 0.3, and
# weights follow the square of the height (fitted exponent 2.19) with a spread of 0.15 of their own. Two decimals each.
_HEIGHT, _HEIGHT_SPREAD, _WEIGHT_SPREAD = 0.3, 0.12, 0.15


def multiplier(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """The CP multiplier at whole and half levels from 1 to 40, in the shape of `level`."""
    squares = np.square(_CPM)
    return np.sqrt(np.interp(level, np.arange(1, len(_CPM) + 1), squares))


def combat_power(stats: NDArray[np.float64], cpm: NDArray[np.float64]) -> NDArray[np.float64]:
    """CP of individuals with stats `(rows, 3)` (stamina, attack, defense, IVs included) and multipliers `(rows,)`."""
    stamina, attack, defense = stats.T
    return np.maximum(10.0, np.floor(attack * np.sqrt(defense) * np.sqrt(stamina) * cpm**2 / 10.0))


def hit_points(stats: NDArray[np.float64], cpm: NDArray[np.float64]) -> NDArray[np.float64]:
    """HP of individuals with stats `(rows, 3)` and multipliers `(rows,)`."""
    return np.maximum(10.0, np.floor(stats[:, 0] * cpm))


def simulate(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Draw evolutions: each individual keeps its IVs and its level, an Eevee turns into one of three at random.

    Args:
        rng: source of every draw.
        rows: how many evolutions.

    Returns:
        A frame with `COLUMNS`: species by name, CP and HP before, weight in kg, height in m, CP after.
    """
    names = list(SPECIES)
    kind = rng.choice(len(names), size=rows, p=[s.share for s in SPECIES.values()])
    lowest = np.array([s.lowest_level for s in SPECIES.values()])[kind]
    level = rng.integers(2 * lowest, 2 * TOP_LEVEL, size=rows, endpoint=True) / 2.0
    ivs = rng.integers(0, 15, size=(rows, 3), endpoint=True)
    before = _stats([s.base for s in SPECIES.values()])[kind] + ivs
    after = _outcomes()[kind, rng.integers(0, 3, size=rows)] + ivs
    deviation = rng.normal(0.0, _HEIGHT_SPREAD, size=rows)
    build = rng.normal(0.0, _WEIGHT_SPREAD, size=rows)
    typical = np.array([s.weight for s in SPECIES.values()])[kind]
    cpm = multiplier(level)
    return pd.DataFrame(
        {
            "species": np.array(names)[kind],
            "cp": combat_power(before, cpm),
            "hp": hit_points(before, cpm),
            "weight": (typical * np.exp(2.0 * deviation + build)).round(2),
            "height": (_HEIGHT * np.exp(deviation)).round(2),
            "newcp": combat_power(after, cpm),
        }
    )


def _stats(stats: list[Stats]) -> NDArray[np.float64]:
    return np.array([[s.stamina, s.attack, s.defense] for s in stats], dtype=float)


def _outcomes() -> NDArray[np.float64]:
    """Stats after evolution, `(species, 3 outcomes, 3)`; a single outcome stands three times."""
    return np.array([_stats(list((s.evolved * 3)[:3])) for s in SPECIES.values()])
