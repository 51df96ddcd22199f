"""Relations that a task declares: held against its rows, carried by its schema."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from redoubt.data import sources, tables
from redoubt.data.locate import SourceError
from redoubt.data.prepare.scaling import fit
from redoubt.data.shared.dataset import load as load_raw
from redoubt.data.shared.dataset import save
from redoubt.params.load import Params
from redoubt.params.task import Task
from redoubt.perturbable import in_both_norms, in_raw_units

LOANS = "loan,term,rate,plan,grade\n1200,12,100,x,a\n2400,24,100,y,b\n900,6,150,x,a\n"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loans(params: Params, *lines: str, **changes: Any) -> Task:
    own = {"source": "own.csv", "target": "grade", "features": (), "categorical": ("plan",), "relations": lines}
    return params.tasks["diagnosis"].model_copy(update=own | changes)


def test_rows_that_keep_them_pass_and_every_x_adv_will(params: Params) -> None:
    Path("own.csv").write_text(LOANS)
    raw = sources.fetch(loans(params, "rate == loan / term", "term <= loan"), seed=1)
    save(Path("raw"), raw)
    stored = load_raw(Path("raw"))
    scaler = fit(stored.batch, stored.schema)
    bounds = scaler.bounds(stored.schema)
    assert bounds.relations is not None
    assert bounds.relations.lines == ("rate == loan / term", "term <= loan")
    assert bounds.relations.holds(stored.batch.x).all()
    kept = "; every x_adv keeps `rate == loan / term`, `term <= loan`"
    assert in_raw_units(stored.schema, bounds, "linf", 0.5).endswith(kept)
    assert in_both_norms(loans(params).eps, stored.schema, bounds).count(kept) == 1


@pytest.mark.parametrize(
    ("lines", "changes", "says"),
    [
        (
            ["rate == loan / term", "loan >= 1000"],
            {},
            r"'own.csv': relation 'loan >= 1000' is broken by 1 of 3 rows, row 2 \(counted from 0 below the header\),"
            r" the first with loan 900; correct the cells, let `redoubt quarantine` .* or change 'relations'",
        ),
        (["loan / (term - 12) <= 1e9"], {}, r"broken by 1 of 3 rows, row 0 .* the first with loan 1200, term 12;"),
        (["term in [12, 24]"], {}, r"'term in \[12, 24\]' is broken by 1 of 3 rows, row 2 .* the first with term 6;"),
        (["rates == loan / term"], {}, r"relations: 'rates == loan / term': unknown feature 'rates'; did you mean"),
        (["plan <= 3"], {}, "relation 'plan <= 3' names the category 'plan'; relations are between numbers"),
        (["grade <= 3"], {}, "unknown feature 'grade'"),
        (
            ["loan <= term * 1e6"],
            {"immutable": ("loan", "term")},
            "relation .* is between immutable columns only, which no attack changes: leave it out",
        ),
    ],
)
def test_what_does_not_fit_the_table_is_refused(
    params: Params, lines: list[str], changes: dict[str, Any], says: str
) -> None:
    Path("own.csv").write_text(LOANS)
    with pytest.raises(SourceError, match=says):
        sources.fetch(loans(params, *lines, **changes), seed=1)


def test_an_empty_cell_breaks_nothing_and_rows_that_do_are_named(params: Params) -> None:
    table = pd.DataFrame(
        {
            "loan": ["1200", "", "900", "x"],
            "term": [12, 24, 6, 6],
            "rate": [100, 100, 160, 150],
            "plan": ["x", "y", "x", "x"],
            "grade": list("abab"),
        }
    )
    task = loans(params, "rate == loan / term", "5 <= term <= 20", missing={"loan": "median"})
    assert tables.misfits(table, task) == {
        1: ["relation '5 <= term <= 20' does not hold"],
        2: ["relation 'rate == loan / term' does not hold"],
        3: ["column 'loan': expected a number"],
    }


def test_values_rounded_to_float32_keep_an_equality(params: Params) -> None:
    rng = np.random.default_rng(0)
    loan, term = rng.uniform(1e3, 4e4, 500), rng.choice([36, 60], 500)
    frame = pd.DataFrame({"loan": loan, "term": term, "rate": loan * 1.07**3 / term, "plan": "x", "grade": "a"})
    frame.loc[0, ["plan", "grade"]] = ["y", "b"]
    frame.to_csv("own.csv", index=False)
    task = loans(params, "rate == loan * 1.07 ** 3 / term")
    raw = sources.fetch(task, seed=1)
    save(Path("raw"), raw)
    stored = load_raw(Path("raw"))
    assert stored.schema.related is not None
    assert stored.schema.related.holds(stored.batch.x).all()
