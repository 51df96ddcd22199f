"""Tables of the kinds that people bring, as CSV files: bundled with scikit-learn, or drawn from a seed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn import datasets

PASSENGERS, PEOPLE, PAYMENTS, HOUSES, DEVICES, TICKS, LOANS = 891, 5000, 5000, 4000, 40, 100, 3000


def _bundled(load: Callable[..., Any], words: bool) -> pd.DataFrame:
    """One of scikit-learn's, with the names of its classes as the target."""
    found = load(as_frame=True)
    table: pd.DataFrame = found.frame.copy()
    if words:
        table["target"] = np.asarray(found.target_names)[found.target]
    return table


def _digits() -> pd.DataFrame:
    """Pictures as a table of 64 whole numbers."""
    found = datasets.load_digits()
    return pd.DataFrame(found.data, columns=found.feature_names).assign(
        target=np.char.add("n", found.target.astype(str))
    )


def _chance(rng: Generator, lead: NDArray[Any]) -> NDArray[np.bool_]:
    return rng.random(len(lead)) < 1 / (1 + np.exp(-lead))


def titanic(rng: Generator) -> pd.DataFrame:
    """Passengers: holes in the age, a skewed fare, sex and class that matter most."""
    sex = rng.choice(["male", "female"], PASSENGERS, p=[0.65, 0.35])
    berth = rng.choice([1, 2, 3], PASSENGERS, p=[0.24, 0.21, 0.55])
    age = np.clip(rng.normal(30, 14, PASSENGERS), 0.4, 80).round(1)
    siblings, parents = rng.poisson(0.5, PASSENGERS), rng.poisson(0.4, PASSENGERS)
    lead = 2.6 * (sex == "female") - 1.0 * (berth - 2) - 0.03 * (age - 30) - 0.3 * siblings - 1.0
    return pd.DataFrame(
        {
            "berth": berth,
            "sex": sex,
            "age": pd.Series(age).mask(rng.random(PASSENGERS) < 0.2),
            "siblings": siblings,
            "parents": parents,
            "fare": np.exp(rng.normal(3.9 - 0.6 * berth, 0.6)).round(2),
            "port": rng.choice(["S", "C", "Q"], PASSENGERS, p=[0.72, 0.19, 0.09]),
            "target": np.where(_chance(rng, lead), "yes", "no"),
        }
    )


def adult(rng: Generator) -> pd.DataFrame:
    """Incomes: many words, a gain that is 0 for most and large for a few."""
    age, school, hours = rng.integers(17, 90, PEOPLE), rng.integers(1, 17, PEOPLE), rng.normal(40, 12, PEOPLE)
    gain = np.where(rng.random(PEOPLE) < 0.08, rng.lognormal(8.5, 1, PEOPLE), 0).astype(int)
    trade, worth = rng.integers(0, 50, PEOPLE), rng.uniform(-1, 1, 50)
    married = rng.choice(["married", "never", "divorced"], PEOPLE, p=[0.46, 0.33, 0.21])
    lead = 0.03 * (age - 38) + 0.33 * (school - 10) + 2.0 * (married == "married") + 0.0003 * gain + worth[trade] - 3.2
    return pd.DataFrame(
        {
            "age": age,
            "school_years": school,
            "married": married,
            "trade": [f"trade {each}" for each in trade],
            "gain": gain,
            "hours": np.clip(hours, 1, 99).astype(int),
            "target": np.where(_chance(rng, lead), ">50K", "<=50K"),
        }
    )


def fraud(rng: Generator) -> pd.DataFrame:
    """Payments: one in fifty a fraud, which the amount's logarithm helps to tell."""
    x, amount = rng.normal(size=(PAYMENTS, 8)), rng.lognormal(3, 1.5, PAYMENTS).round(2)
    score = 1.5 * x[:, 0] - 1.2 * x[:, 3] + 0.8 * np.log1p(amount) + 0.5 * rng.normal(size=PAYMENTS)
    table = pd.DataFrame(x.round(4), columns=[f"v{place}" for place in range(1, 9)])
    return table.assign(amount=amount, target=np.where(score > np.quantile(score, 0.98), "fraud", "fine"))


def housing(rng: Generator) -> pd.DataFrame:
    """Prices: skewed themselves, by skewed incomes and by two places on a map."""
    income, age = rng.lognormal(1.2, 0.45, HOUSES), rng.integers(1, 53, HOUSES)
    north, people = rng.uniform(32.5, 42, HOUSES), rng.lognormal(7, 0.7, HOUSES).astype(int)
    coast = np.exp(-((north - 37.7) ** 2) / 2) + np.exp(-((north - 34) ** 2) / 1.5)
    price = np.exp(10.6 + 0.67 * np.log(income) + 0.5 * coast + 0.003 * age + 0.25 * rng.normal(size=HOUSES))
    return pd.DataFrame(
        {
            "income": income.round(4),
            "age": age,
            "rooms": np.clip(rng.normal(5.4, 1.2, HOUSES), 1, 15).round(3),
            "people": people,
            "north": north.round(2),
            "west": (-114.3 - (north - 32.5) * 0.9 + rng.normal(0, 1, HOUSES)).round(2),
            "target": np.clip(price, 15_000, 2_000_000).round(0),
        }
    )


def sensor(rng: Generator) -> pd.DataFrame:
    """Readings of devices, all of one faulty or none: rows that belong together."""
    device = np.repeat(np.arange(DEVICES), TICKS)
    faulty = rng.permutation(np.arange(DEVICES) % 2 == 0)[device]
    x = 0.5 * rng.normal(size=(DEVICES, 5))[device] + rng.normal(size=(len(device), 5))
    x += 1.5 * faulty[:, None] * [1.0, 0.8, 0.0, -0.6, 0.0]
    table = pd.DataFrame(x.round(3), columns=["heat", "shake", "volt", "amps", "rpm"])
    return table.assign(device_id=[f"D{each:02d}" for each in device], target=np.where(faulty, "yes", "no"))


def loans(rng: Generator) -> pd.DataFrame:
    """Credits: money over five orders of magnitude, of which only ratios count."""
    earned, owed = np.exp(rng.normal(10, 1.3, LOANS)), np.exp(rng.normal(8.5, 2.0, LOANS))
    late = rng.poisson(0.4, LOANS)
    lead = 1.2 * (np.log(owed) - np.log(earned) + 1.0) + 0.8 * late - 1.0
    return pd.DataFrame(
        {
            "earned": earned.round(2),
            "owed": owed.round(2),
            "late": late,
            "months": rng.integers(6, 72, LOANS),
            "purpose": rng.choice(["car", "house", "other"], LOANS),
            "target": np.where(_chance(rng, lead), "default", "paid"),
        }
    )


DRAWN: tuple[Callable[[Generator], pd.DataFrame], ...] = (titanic, adult, fraud, housing, sensor, loans)
BUNDLED: dict[str, Callable[[], pd.DataFrame]] = {
    "iris": partial(_bundled, datasets.load_iris, words=True),
    "wine": partial(_bundled, datasets.load_wine, words=True),
    "breast_cancer": partial(_bundled, datasets.load_breast_cancer, words=True),
    "digits": _digits,
    "diabetes": partial(_bundled, datasets.load_diabetes, words=False),
}
NAMES = (*BUNDLED, *(draw.__name__ for draw in DRAWN))


def table(name: str, seed: int) -> pd.DataFrame:
    """One of the tables by its name; those that are drawn are drawn anew for each seed."""
    if name in BUNDLED:
        return BUNDLED[name]()
    place, draw = next((place, draw) for place, draw in enumerate(DRAWN) if draw.__name__ == name)
    return draw(np.random.default_rng([seed, place]))
