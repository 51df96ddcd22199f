"""The data that studies are given: the course's own, or an embedded stand-in that needs no network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd

from redoubt.core.types import Batch
from redoubt.data import pokemon_go, sources
from redoubt.data.locate import SourceError

T = TypeVar("T")
SPECIES = {"Pidgey": 39, "Weedle": 20, "Caterpie": 10, "Eevee": 6}
STATS = ("HP", "Attack", "Defense", "Sp_Atk", "Sp_Def", "Speed")
TYPES = ("Water", "Normal")
# Rows of the course's training and test half by type.
COUNTS = {"train": (79, 61), "test": (33, 37)}
SMALL_TRAIN = 1400


@dataclass(frozen=True)
class Evolutions:
    """75 evolutions in the course's order.

    Attributes:
        table: species, cp, hp, weight, height, newcp.
        real: the course's own rows, or simulated ones.
    """

    table: pd.DataFrame
    real: bool

    @property
    def train(self) -> pd.DataFrame:
        """The course's 60 training rows: all but every fifth."""
        return self.table[np.arange(len(self.table)) % 5 != 4]

    @property
    def few(self) -> pd.DataFrame:
        """The 10 rows that the course's polynomials are fitted to: every sixth of the 60, from the fourth on."""
        return self.train.iloc[3::6]

    @property
    def test(self) -> pd.DataFrame:
        """The 10 rows, of every fifth, on which the course reports."""
        return self.table.iloc[np.array([10, 15, 20, 30, 35, 40, 55, 60, 70, 75]) - 1]


@dataclass(frozen=True)
class Types:
    """Water against Normal from six base stats, in the course's two halves.

    Attributes:
        train: columns `STATS` and `type`.
        test: likewise.
        real: the course's own rows, or drawn from Gaussians.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    real: bool


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, pixels in [0, 1], `(rows, side, side, 1)`.

    Attributes:
        train: rows to learn from.
        test: rows to report on.
        real: MNIST (28 x 28), or scikit-learn's 8 x 8 digits.
    """

    train: Batch
    test: Batch
    real: bool


@dataclass(frozen=True)
class Given:
    """Where a study asks for data.

    Attributes:
        course: take the course's own data where it can be had; else, and without it, the stand-in.
        seed: of what is simulated.
    """

    course: bool
    seed: int

    def evolutions(self) -> Evolutions:
        """Pokémon before and after evolution."""
        real = self._real(sources.pokemon_cp)
        return Evolutions(_simulated(self.seed) if real is None else real, real is not None)

    def types(self) -> Types:
        """Base stats of Water and Normal Pokémon."""
        table = self._real(sources.pokemon_stats)
        if table is None:
            draw = partial(_drawn_types, np.random.default_rng(self.seed))
            return Types(draw(COUNTS["train"]), draw(COUNTS["test"]), real=False)
        table = table[table["Type_1"].isin(TYPES)].rename(columns={"Type_1": "type"})
        early = table["#"] < 400
        columns = [*STATS, "type"]
        return Types(table.loc[early, columns], table.loc[~early, columns], real=True)

    def digits(self) -> Digits:
        """Handwritten digits."""
        arrays = self._real(sources.mnist)
        if arrays is None:
            return _small_digits()
        train, test = (
            Batch(
                arrays[f"x_{part}"][..., None].astype(np.float32) / np.float32(255),
                arrays[f"y_{part}"].astype(np.int64),
            )
            for part in ("train", "test")
        )
        return Digits(train, test, real=True)

    def _real(self, fetch: Callable[[], T]) -> T | None:
        try:
            return fetch() if self.course else None
        except SourceError:
            return None


def _simulated(seed: int) -> pd.DataFrame:
    drawn = pokemon_go.simulate(np.random.default_rng(seed), 5000)
    return pd.concat(
        [drawn[drawn["species"] == name].head(count) for name, count in SPECIES.items()], ignore_index=True
    )


def _drawn_types(rng: np.random.Generator, counts: tuple[int, int]) -> pd.DataFrame:
    """Six stats from a Gaussian per type; those of Defense and Sp_Def are the course's own."""
    middle = {"Water": [70, 73, 75, 74, 71.3, 66], "Normal": [77, 74, 55.6, 56, 59.8, 72]}
    spread = {"Water": [27, 28, 29.6, 29, 30.5, 23], "Normal": [34, 30, 21.6, 26, 23.5, 28]}
    # Stats of strong animals are all high: half of each spread is shared.
    shared = 0.37 * np.ones((6, 6)) + 0.63 * np.eye(6)
    parts = []
    for name, count in zip(TYPES, counts, strict=True):
        deviation = np.array(spread[name])
        values = rng.multivariate_normal(middle[name], shared * np.outer(deviation, deviation), size=count)
        parts.append(pd.DataFrame(np.clip(values.round(), 5, 255), columns=list(STATS)).assign(type=name))
    return pd.concat(parts, ignore_index=True)


def _small_digits() -> Digits:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    x, y = (bundle.images[..., None] / 16).astype(np.float32), bundle.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:SMALL_TRAIN], order[SMALL_TRAIN:]
    return Digits(Batch(x[train], y[train]), Batch(x[test], y[test]), real=False)
