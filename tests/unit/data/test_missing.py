"""Empty cells: what the training rows say takes their place, in the pipeline and in the schema that is served alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.column import Column, Missing
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch
from redoubt.data import expectations
from redoubt.data.locate import SourceError
from redoubt.data.prepare import missing
from redoubt.data.prepare.missing import MissingError
from redoubt.data.prepare.scaling import Scaler, fit
from redoubt.data.shared import dataset
from redoubt.data.tables import Origin, build
from redoubt.data.verdict import ValidationError
from redoubt.params.load import Params, load
from redoubt.params.resolve import settings as settings_of
from redoubt.params.settings.base import MissingPolicy
from redoubt.params.settings.stages import ValidateSettings
from redoubt.params.task import Task

ROWS = 60
POLICIES: dict[str, MissingPolicy] = {
    "age": "median",
    "rooms": "mean",
    "income": "mode+indicator",
    "plan": "category",
    "city": "mode",
    "note": "drop",
}


def people(seed: int = 0, empty: float = 0.2) -> pd.DataFrame:
    """Numbers, whole numbers and words with holes in all of them; the last two columns have none and some."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 12, ROWS),
            "rooms": rng.integers(1, 9, ROWS).astype(float),
            "income": rng.choice([1000.1, 2000.2, 3000.3], ROWS),
            "height": rng.normal(170, 9, ROWS),
            "plan": rng.choice(["basic", "pro"], ROWS),
            "city": rng.choice(["Bonn", "Kiel", "Ulm"], ROWS, p=[0.2, 0.6, 0.2]),
            "note": rng.choice(["a", "b"], ROWS),
        }
    )
    for name in POLICIES:
        table.loc[rng.random(ROWS) < empty, name] = np.nan
    return table.assign(left=np.arange(ROWS) % 2).replace({"left": {0: "no", 1: "yes"}})


def task(params: Params, **changes: Any) -> Task:
    """The task of that table."""
    known = params.tasks["diagnosis"]
    own = {
        "name": "own",
        "source": "own.csv",
        "target": "left",
        "features": ("age", "rooms", "income", "height"),
        "categorical": ("plan", "city", "note"),
        "integer": ("rooms",),
        "missing": POLICIES,
    }
    return Task.model_validate({**known.model_dump(), **own, **changes})


def loaded(table: pd.DataFrame, declared: Task, folder: Path) -> dataset.Dataset:
    dataset.save(folder / "raw", build(table, declared, Origin("own.csv")))
    return dataset.load(folder / "raw")


def as_records(table: pd.DataFrame, schema: Schema) -> list[dict[str, Any]]:
    rows = table[[column.name for column in schema.columns]].to_dict("records")
    return [{str(name): None if pd.isna(cell) else cell for name, cell in row.items()} for row in rows]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), empty=st.floats(0.1, 0.5))
def test_the_service_fills_in_what_the_pipeline_did(
    params: Params, seed: int, empty: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table, declared = people(seed, empty), task(params)
    data = loaded(table, declared, tmp_path_factory.mktemp("own"))
    used = table[table["note"].notna()]
    assert len(data.batch) == len(used)
    scaler = Scaler.from_json(fit(data.batch, data.schema).to_json())
    served = Schema.model_validate_json(missing.fitted(data.schema, scaler.fill).model_dump_json())
    x = scaler.impute(data.batch).x
    assert np.isfinite(x).all()
    assert np.array_equal(served.encode(as_records(used, served)), x)
    scaler.bounds(served).check(x)
    # Typed in, what was fitted gives the same input bit for bit, but for the flag that says it was not given.
    typed = used.fillna({column.name: column.missing.value for column in served.columns if column.missing})  # type: ignore[misc,dict-item]
    plain = np.array([not name.endswith(" is missing") for name in served.input_names])
    assert np.array_equal(served.encode(as_records(typed, served))[:, plain], x[:, plain])
    again = missing.filled(data.batch.x, missing.of_schema(served))
    assert np.array_equal(again, x)


def test_what_takes_the_place_is_of_the_training_rows_alone(params: Params, tmp_path: Path) -> None:
    table = people()
    data = loaded(table, task(params), tmp_path)
    used = table[table["note"].notna()].reset_index(drop=True)
    train = np.arange(20)
    fill = fit(data.batch.take(train), data.schema).fill
    found = {column.name: column.missing for column in missing.fitted(data.schema, fill).columns}
    some = used.iloc[train]
    assert found["age"] == Missing(how="median", value=float(np.float32(np.nanmedian(some["age"].astype(np.float32)))))
    assert found["rooms"] == Missing(how="mean", value=float(np.round(some["rooms"].mean())))
    mode = float(np.float32(some["income"].mode()[0]))
    assert found["income"] == Missing(how="mode", value=mode, indicator=True)
    assert found["plan"] == Missing(how="category", value="missing")
    assert found["city"] == Missing(how="mode", value=some["city"].mode()[0])
    assert (found["height"], found["note"]) == (None, None)


def test_no_attacker_says_that_a_cell_was_empty(params: Params, tmp_path: Path) -> None:
    data = loaded(people(), task(params), tmp_path)
    at = data.schema.input_names.index("income is missing")
    assert set(data.batch.x[:, at].tolist()) == {0.0, 1.0}
    bounds = fit(data.batch, data.schema).bounds(data.schema)
    assert (bounds.scale[at], bounds.lower[at], bounds.upper[at]) == (0, 0, 1)
    assert bounds.scale[at - 1] > 0


@pytest.mark.parametrize(("name", "expected"), [("height", "a finite number"), ("note", "one of a, b")])
def test_what_nothing_was_said_of_is_refused(params: Params, tmp_path: Path, name: str, expected: str) -> None:
    data = loaded(people(), task(params), tmp_path)
    served = missing.fitted(data.schema, fit(data.batch, data.schema).fill)
    record = {column.name: column.example for column in served.columns}
    says = f"input 0: column '{name}' is null; expected {expected}: the task declares no `missing` policy for it"
    with pytest.raises(InputError, match=says):
        served.encode([{**record, name: None}])
    with pytest.raises(InputError, match=f"column '{name}' is missing; expected age, rooms"):
        served.encode([{key: value for key, value in record.items() if key != name}])


def test_a_table_without_policies_keeps_its_bytes(params: Params) -> None:
    declared = task(params, missing={})
    raw = build(people(empty=0.0), declared, Origin("own.csv"))
    keys = {"name", "kind", "categories", "immutable", "limits"}
    assert all(set(column) == keys for column in raw.schema.model_dump()["columns"])
    assert "fill" not in fit(Batch(np.ones((2, 4), np.float32), np.array([0, 1])), _numbers(raw.schema)).to_json()
    assert "missing" not in settings_of(ValidateSettings, declared, 1).model_dump()


def _numbers(schema: Schema) -> Schema:
    return schema.model_copy(update={"columns": schema.columns[:4], "shape": (4,)})


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("income", "no training row has an empty 'income'.*missing: {income: mode}"),
        ("plan", "no training row has an empty 'plan'.*missing: {plan: mode}"),
    ],
)
def test_an_input_that_no_row_teaches_is_refused(params: Params, tmp_path: Path, column: str, says: str) -> None:
    table = people()
    data = loaded(table.fillna({column: table[column].mode()[0]}), task(params), tmp_path)
    with pytest.raises(MissingError, match=says):
        missing.require_learnt(data.batch.x, data.schema)


def test_a_column_that_is_empty_throughout_is_refused(params: Params, tmp_path: Path) -> None:
    data = loaded(people().assign(age=np.nan), task(params), tmp_path)
    with pytest.raises(MissingError, match="column 'age' is empty in all"):
        fit(data.batch, data.schema)


def test_validate_tells_the_shares_and_stops_at_columns_without_a_policy(params: Params) -> None:
    table, declared = people(), task(params)
    settings_ = settings_of(ValidateSettings, declared.model_copy(update={"checks": _few(declared)}), 1)
    raw = build(table, declared, Origin("own.csv"))
    verdict = expectations.validate(raw, settings_)
    assert verdict.passed, verdict.report
    assert verdict.report["missing"] == {name: round(float(table[name].isna().mean()), 6) for name in POLICIES}
    table.loc[3, "height"] = np.nan
    with pytest.raises(ValidationError, match=r"(?s)column 'height'.*row 3: empty.*{height: median}"):
        expectations.validate(build(table, declared, Origin("own.csv")), settings_).require(Path("page"))


def _few(declared: Task) -> Any:
    return declared.checks.model_copy(update={"min_rows": 10, "max_duplicates": 1.0})


def test_ingest_says_what_it_does(params: Params) -> None:
    notes = "\n".join(build(people(), task(params), Origin("own.csv")).survey.notes)
    for says in (
        "column 'age': 13 empty cells (21.7% of the rows) are filled in by the median of the training rows",
        "are filled in by the mode of the training rows, beside which one more input says so",
        "are filled in as a category of its own, 'missing'",
        "as 'missing' says: drop",
    ):
        assert says in notes


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("missing: {agee: median}", "missing: unknown feature 'agee'; did you mean 'age'?"),
        ("missing: {city: median}", "missing.city: 'median' is for numbers, 'city' is a category; say drop or mode or"),
        ("missing: {left: mode}", "missing.left: 'mode' is for numbers, 'left' is the target; say drop"),
        ("missing: {age: category}", "missing.age: 'age' is a number; say median, mean or mode"),
        ("missing: {age: zero}", "missing.age: Input should be 'drop', 'median'"),
        ("levels: {age: 3}", "levels: unknown feature 'age'"),
    ],
)
def test_a_policy_that_does_not_fit_is_named(project: Path, tmp_path: Path, block: str, says: str) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    own = (
        f"  own: {{kind: classification, source: a.csv, target: left, features: [age], categorical: [city], {block}}}\n"
    )
    (tmp_path / "params.yaml").write_text(text.replace("tasks:\n", f"tasks:\n{own}"), encoding="utf-8")
    with pytest.raises(Exception, match=says.replace("?", r"\?")):
        load(tmp_path / "params.yaml")


def cities() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    names = [f"town {n}" for n in range(30)]
    return people(empty=0.0).assign(city=[names[int(n)] for n in np.minimum(rng.geometric(0.2, ROWS), 30) - 1])


def test_rare_and_unknown_categories_count_as_other(params: Params, tmp_path: Path) -> None:
    table, declared = cities(), task(params, missing={"city": "category"}, levels={"city": 3})
    table.loc[:4, "city"] = np.nan
    raw = build(table, declared, Origin("own.csv"))
    most = sorted(table["city"].value_counts().head(3).index)
    column = next(column for column in raw.schema.columns if column.name == "city")
    assert column.categories == ("missing", "other", *most)
    assert any("3 of" in note and "count as 'other'" in note for note in raw.survey.notes)
    dataset.save(tmp_path / "raw", raw)
    data = dataset.load(tmp_path / "raw")
    missing.require_learnt(data.batch.x, data.schema)
    record = {each.name: each.example for each in data.schema.columns}
    found = data.schema.encode([{**record, "city": city} for city in ("other", "Timbuktu", None, most[0])])
    cells = found[:, data.schema.input_names.index("city=missing") :][:, :5].argmax(axis=1)
    assert cells.tolist() == [1, 1, 0, 2]
    with pytest.raises(InputError, match="'city' is 3, not a text"):
        data.schema.encode([{**record, "city": 3}])
    with pytest.raises(InputError, match="'plan' is 'x'; expected one of basic, pro"):
        data.schema.encode([{**record, "plan": "x"}])


def test_nothing_left_to_be_other_is_refused(params: Params) -> None:
    declared = task(params, missing={}, levels={"plan": 2})
    with pytest.raises(SourceError, match="levels.plan is 2, but the column has 2 different values"):
        build(people(empty=0.0), declared, Origin("own.csv"))


@pytest.mark.parametrize(
    "change",
    [
        {"missing": Missing(how="median", value="red")},
        {"missing": Missing(how="category")},
        {"limits": (0.0, 1.0), "missing": Missing(how="mean", value=2.0)},
        {"kind": "integer", "missing": Missing(how="median", value=1.5)},
        {"kind": "category", "categories": ("a",), "missing": Missing(how="mode", value="b")},
        {"kind": "category", "categories": ("a",), "missing": Missing(how="mode", indicator=True)},
        {"kind": "category", "categories": ("a",), "other": "b"},
    ],
    ids=str,
)
def test_a_strangers_schema_is_held_to_it(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="column 'x'"):
        Column.model_validate({"name": "x", "kind": "number", **change})
