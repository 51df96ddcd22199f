"""Relations that init finds are kept by all rows, would not be by chance, and can be taken as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.bundle.relations.relation import parse
from redoubt.cli import main
from redoubt.cli.init.related import related
from redoubt.data import sources
from redoubt.params.load import load

ROWS = 600
RNG = np.random.default_rng(0)
LOAN, TERM = RNG.uniform(1_000, 40_000, ROWS).round(0), RNG.choice([12.0, 24.0, 36.0, 60.0], ROWS)
TOTAL = RNG.integers(2, 40, ROWS).astype(float)
OPEN = np.floor(TOTAL * RNG.random(ROWS))
NET, TAX = RNG.uniform(5, 90, ROWS).round(2), RNG.uniform(0, 20, ROWS).round(2)


def test_an_order_is_found_and_one_by_unlike_ranges_is_not() -> None:
    table = pd.DataFrame({"total accounts": TOTAL, "open": OPEN, "income": LOAN + 90_000})
    assert related(table) == ("open <= `total accounts`",)
    assert related(table.assign(open=OPEN + 40 * (np.arange(ROWS) == 7))) == ()


def test_the_outer_two_of_a_chain_are_not_said() -> None:
    table = pd.DataFrame({"low": OPEN, "middle": OPEN + TOTAL / 9, "high": OPEN + TOTAL / 3})
    assert set(related(table)) == {"low <= middle", "middle <= high"}


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"net": NET, "tax": TAX, "gross": (NET + TAX).round(2)}, "gross == net + tax"),
        ({"loan": LOAN, "term": TERM, "rate": LOAN / TERM}, "rate == loan / term"),
        (
            {"loan": LOAN, "term": TERM, "rate": (LOAN / TERM).round(2)},
            "loan / term - 0.005 <= rate <= loan / term + 0.005",
        ),
        ({"term": TERM, "loan": LOAN, "rate": LOAN / TERM}, "rate == loan / term"),
        ({"count": TOTAL, "price": NET, "sum": (TOTAL * NET).round(2)}, "sum == count * price"),
    ],
)
def test_what_follows_from_two_others_is_found(columns: dict[str, np.ndarray], line: str) -> None:
    found = related(pd.DataFrame(columns))
    assert line in found
    others = [each for each in found if set(parse(each)[0].columns) < set(columns)]
    assert others == (["term in [12, 24, 36, 60]"] if "term" in columns else []), "no order of its own"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([36.0, 60.0], "`term in months` in [36, 60]"),
        ([0.0, 0.5, 1.0], "`term in months` in [0, 0.5, 1]"),
        ([-10.0, 0.0, 10.0], "`term in months` in [-10, 0, 10]"),
        ([0.0, 1.0], None),
        ([1.0, 2.0, 3.0, 4.0], None),
        ([0.1, 0.2, 0.3], None),
        ([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], None),
    ],
)
def test_few_values_with_room_between_them_are_found(values: list[float], line: str | None) -> None:
    term = np.random.default_rng(3).choice(values, ROWS)
    assert related(pd.DataFrame({"term in months": term})) == (() if line is None else (line,))
    assert related(pd.DataFrame({"term in months": term}).head(90)) == ()
    rare = term.copy()
    rare[:3] = 999.0
    assert related(pd.DataFrame({"term in months": rare})) == (), "no tail is taken for a value"


def test_chance_proposes_nothing() -> None:
    rng = np.random.default_rng(1)
    noise = {f"v{place}": rng.normal(size=ROWS).round(3) for place in range(12)}
    counts = {f"c{place}": rng.integers(0, 5 + place, ROWS).astype(float) for place in range(12)}
    assert related(pd.DataFrame(noise)) == related(pd.DataFrame(counts)) == ()


def test_too_few_rows_empty_columns_and_copies_propose_nothing() -> None:
    table = pd.DataFrame({"total": TOTAL, "open": OPEN})
    assert related(table.head(90)) == ()
    assert related(table.assign(open=table["open"].mask(np.arange(ROWS) % 3 == 0))) == ()
    assert related(table.assign(open=TOTAL)) == ()
    assert related(table.mask(RNG.random((ROWS, 2)) < 0.1)) == ("open <= total",)


def test_the_proposed_line_can_be_taken_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"total": TOTAL, "if": OPEN, "net": NET, "left": np.where(NET > 50, "yes", "no")})
    table.to_csv("own.csv", index=False)
    assert main(["init", "own", "own.csv", "--target", "left", "--yes"]) == 0
    assert "note: all rows keep `if` <= total: see 'relations'" in " ".join(capsys.readouterr().out.split())
    text = Path("params.yaml").read_text()
    assert load("params.yaml").task("own").relations == (), "never active by itself"
    Path("params.yaml").write_text(text.replace("    # relations: [", "    relations: ["))
    task = load("params.yaml").task("own")
    assert task.relations == ("`if` <= total",)
    assert sources.fetch(task, seed=0).schema.relations == task.relations
