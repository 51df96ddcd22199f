"""The data of docs/examples.md, made from fixed seeds: what people bring, in four kinds, with what is wrong in it.

python -m benchmarks.worked_examples FOLDER [NAME ...] writes churn.csv, shapes/, sensors.parquet and fraud.csv there.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CUSTOMERS, SENSORS, TICKS, PAYMENTS = 1500, 40, 45, 4000
SIDE, PICTURES = 12, 100
KINDS = ("disc", "ring", "square")


def churn(folder: Path) -> Path:
    """Customers as a German spreadsheet exports them: cp1252, `;`, decimal commas, holes, blanks, a give-away."""
    rng = np.random.default_rng(18)
    months, age = rng.integers(1, 72, CUSTOMERS), rng.integers(18, 85, CUSTOMERS)
    calls, spend = rng.poisson(1.2, CUSTOMERS), rng.lognormal(3.4, 0.5, CUSTOMERS)
    plan = rng.choice(["basic", "plus", "Pro"], CUSTOMERS, p=[0.5, 0.3, 0.2])
    lead = 1.1 * calls - 0.07 * months + 0.9 * (plan == "basic") - 0.02 * (age - 45) - 1.6
    left = rng.random(CUSTOMERS) < 1 / (1 + np.exp(-lead))
    towns = [f"Dörfchen {place}" for place in range(60)]
    padded = np.where(rng.random(CUSTOMERS) < 0.1, np.char.add(plan, " "), plan)
    table = pd.DataFrame(
        {
            "customer_id": 100_000 + rng.permutation(9 * CUSTOMERS)[:CUSTOMERS],
            "since": (pd.Timestamp("2024-06-30") - pd.to_timedelta(months * 30, unit="D")).strftime("%d.%m.%Y"),
            "months": months,
            "age": pd.Series(age).astype("Int64").mask(rng.random(CUSTOMERS) < 0.06),
            "spend": pd.Series(spend.round(2)).mask(rng.random(CUSTOMERS) < 0.03),
            "calls": calls,
            "plan": pd.Series(padded).mask(rng.random(CUSTOMERS) < 0.03),
            "town": [towns[place] for place in np.minimum(rng.geometric(0.07, CUSTOMERS), 60) - 1],
            "country": "DE",
            "fax": pd.Series(["030 1234"] * CUSTOMERS).mask(rng.random(CUSTOMERS) < 0.9),
            "final_invoice": np.where(left, "sent", "no"),
            "note": [f"called on day {day}" for day in rng.permutation(CUSTOMERS)],
            "left": np.where(left, "yes", "no"),
        }
    )
    path = folder / "churn.csv"
    table.to_csv(path, sep=";", decimal=",", index=False, encoding="cp1252")
    return path


def shapes(folder: Path) -> Path:
    """Grey pictures in a folder per class, a few larger than the rest, and a text file among them."""
    rng = np.random.default_rng(19)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for number in range(PICTURES * len(KINDS)):
        kind = KINDS[number % len(KINDS)]
        y, x = rng.uniform(4.5, 6.5, 2)
        size, far = rng.uniform(2.6, 4.2), np.hypot(rows - y, columns - x)
        inside = {
            "disc": far < size,
            "ring": (far < size) & (far > size - 1.5),
            "square": np.maximum(abs(rows - y), abs(columns - x)) < size,
        }[kind]
        pixels = np.clip(inside * rng.uniform(0.6, 1.0) + rng.normal(0, 0.08, inside.shape), 0, 1)
        picture = Image.fromarray((255 * pixels).astype(np.uint8))
        path = folder / "shapes" / kind / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        (picture.resize((2 * SIDE, 2 * SIDE)) if number % 50 == 0 else picture).save(path)
    (folder / "shapes" / "notes.txt").write_text("drawn on a Monday\n", encoding="utf-8")
    return folder / "shapes"


def sensors(folder: Path) -> Path:
    """Readings of forty devices, each of which is faulty or not in all of its rows; as a data frame is saved."""
    rng = np.random.default_rng(20)
    device = np.repeat(np.arange(SENSORS), TICKS)
    faulty = rng.permutation(np.arange(SENSORS) % 2 == 0)[device]
    own = rng.normal(size=(SENSORS, 4))[device]
    values = 0.5 * own + rng.normal(size=(len(device), 4)) + 2.2 * faulty[:, None] * [1.0, 0.8, 0.0, -0.6]
    table = pd.DataFrame(
        values * [4.0, 0.3, 12.0, 20.0] + [60.0, 1.5, 230.0, 1450.0], columns=["heat", "shake", "volt", "rpm"]
    )
    table = table.round({"heat": 1, "shake": 3, "volt": 1}).astype({"rpm": int})
    table.insert(0, "device", [f"D{number:02d}" for number in device])
    table.insert(
        1, "read_at", pd.Timestamp("2024-03-01") + pd.to_timedelta(np.tile(np.arange(TICKS), SENSORS), unit="h")
    )
    table["fault"] = faulty
    path = folder / "sensors.parquet"
    table.sample(frac=1.0, random_state=20).reset_index(drop=True).to_parquet(path)
    return path


def fraud(folder: Path) -> Path:
    """Card payments, of which one in fifty is a fraud."""
    rng = np.random.default_rng(21)
    amount, hour = rng.lognormal(3.2, 1.1, PAYMENTS), rng.integers(0, 24, PAYMENTS)
    parts = rng.normal(size=(PAYMENTS, 4))
    score = 1.6 * parts[:, 0] - 1.3 * parts[:, 2] + 0.5 * np.log(amount) + 0.4 * rng.normal(size=PAYMENTS)
    table = pd.DataFrame(parts.round(4), columns=["v1", "v2", "v3", "v4"])
    table.insert(0, "payment", np.arange(1, PAYMENTS + 1))
    table["hour"], table["amount"] = hour, amount.round(2)
    table["abroad"] = np.where(rng.random(PAYMENTS) < 0.12, "True", "False")
    table["fraud"] = (score > np.quantile(score, 0.98)).astype(int)
    path = folder / "fraud.csv"
    table.to_csv(path, index=False)
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {"churn": churn, "shapes": shapes, "sensors": sensors, "fraud": fraud}


def main() -> None:
    """Write the examples named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MAKERS)} (default: all)")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in MAKERS]:
        parser.error(f"no example '{unknown[0]}'; expected {', '.join(MAKERS)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.names or MAKERS:
        print(MAKERS[name](args.folder))


if __name__ == "__main__":
    main()
