import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import PIXELS, Batch
from redoubt.data.prepare.scaling import Scaler, ScalingError, fit, said
from redoubt.data.splits import split
from redoubt.params.settings.sections import SplitParams

COLUMNS = (
    Column(name="size", kind="number"),
    Column(name="flat", kind="number"),
    Column(name="kind", kind="category", categories=("a", "b")),
)
TABLE = Schema(task="own", kind="regression", target="cost", columns=COLUMNS, shape=(4,))
IMAGES = Schema(task="own", kind="image", target="digit", shape=(4, 4, 3), labels=("0", "1"))
ROWS = np.array([[1.0, 7.0, 1.0, 0.0], [2.0, 7.0, 1.0, 0.0], [6.0, 7.0, 1.0, 0.0]], np.float32)


def test_a_table() -> None:
    scaler = fit(Batch(ROWS, np.array([10.0, 20.0, 60.0], np.float32)), TABLE)
    assert scaler.mean.tolist() == [3.0, 7.0, 0.0, 0.0]
    assert scaler.std.tolist() == pytest.approx([np.std([1, 2, 6]), 1.0, 1.0, 1.0])
    assert (scaler.lower.tolist(), scaler.upper.tolist()) == ([1.0, 7.0, 0.0, 0.0], [6.0, 7.0, 1.0, 1.0])
    assert (scaler.target_mean, scaler.target_std) == (30.0, pytest.approx(np.std([10, 20, 60])))


def test_the_box_of_a_table_lets_no_category_change() -> None:
    scaler = fit(Batch(ROWS, ROWS[:, 0]), TABLE)
    bounds = scaler.bounds(TABLE)
    assert bounds.scale.tolist() == [scaler.std[0], 1.0, 0.0, 0.0]
    bounds.check(ROWS)


def test_the_box_holds_what_is_declared_of_a_feature() -> None:
    columns = (
        Column(name="size", kind="integer", limits=(-5, 6)),
        Column(name="flat", kind="number", immutable=True),
        COLUMNS[2],
    )
    declared = TABLE.model_copy(update={"columns": columns})
    scaler = fit(Batch(ROWS, ROWS[:, 0]), declared)
    assert scaler.to_json() == fit(Batch(ROWS, ROWS[:, 0]), TABLE).to_json(), "what is learned of the rows is the same"
    bounds = scaler.bounds(declared)
    assert (bounds.lower.tolist(), bounds.upper.tolist()) == ([-5.0, 7.0, 0.0, 0.0], [6.0, 7.0, 1.0, 1.0])
    assert bounds.scale.tolist() == [scaler.std[0], 0.0, 0.0, 0.0]
    assert bounds.integer.tolist() == [True, False, False, False]
    assert {bounds.lower.dtype, bounds.upper.dtype, bounds.scale.dtype} == {np.dtype(np.float32)}


def test_images_are_scaled_by_channel() -> None:
    x = np.random.default_rng(1).random((50, 4, 4, 3), dtype=np.float32) * np.array([1.0, 0.5, 0.0], np.float32)
    scaler = fit(Batch(x, np.zeros(50, np.int64)), IMAGES)
    assert scaler.mean == pytest.approx(x.mean(axis=(0, 1, 2)), abs=1e-6)
    assert scaler.std[:2] == pytest.approx(x.std(axis=(0, 1, 2))[:2], abs=1e-6)
    assert scaler.std[2] == 1.0
    assert (scaler.lower.tolist(), scaler.upper.tolist()) == ([0.0] * 3, [1.0] * 3)
    assert (scaler.target_mean, scaler.target_std) == (0.0, 1.0)
    assert scaler.bounds(IMAGES) is PIXELS


numbers = st.floats(-(2.0**100), 2.0**100, width=32)


@given(rows=arrays(np.float32, array_shapes(min_dims=1, max_dims=1, max_side=20), elements=numbers))
def test_scaled_rows_are_finite_and_the_scaler_survives_json(rows: np.ndarray) -> None:
    x = np.stack([rows, rows, np.ones_like(rows), np.zeros_like(rows)], axis=1)
    scaler = fit(Batch(x, rows), TABLE)
    assert np.isfinite((x - scaler.mean) / scaler.std).all()
    assert (scaler.std > 0).all()
    scaler.bounds(TABLE).check(x)
    back = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    for name, value in vars(scaler).items():
        assert np.array_equal(getattr(back, name), value), name


def test_only_training_rows_count() -> None:
    """Rows held out may hold anything: statistics of the training rows do not move."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=(200, 2)), np.tile([1.0, 0.0], (200, 1))], axis=1).astype(np.float32)
    y = rng.normal(size=200).astype(np.float32)
    made = split(y, "regression", SplitParams(test=0.2, validation=0.2, folds=4), None, seed=1)
    changed = Batch(x.copy(), y.copy())
    for rows in (made.validation, made.test, made.within(2)):
        changed.x[rows] = 1e6
        changed.y[rows] = 1e6
    before, after = (fit(batch.take(made.without(2)), TABLE).to_json() for batch in (Batch(x, y), changed))
    assert before == after
    assert fit(changed.take(made.train), TABLE).to_json() != fit(Batch(x, y).take(made.train), TABLE).to_json()


def test_a_column_is_spread_out_where_it_is_said_and_varies() -> None:
    batch = Batch(ROWS, ROWS[:, 0])
    scaler = fit(batch, TABLE, {"size": "quantile", "flat": "quantile"})
    assert [curve is not None for curve in scaler.curves] == [True, False, False, False], "one value has no ranks"
    plain = fit(batch, TABLE)
    assert "curves" not in plain.to_json(), "a table without any keeps the bytes that it always had"
    assert scaler.bounds(TABLE).scale.tolist() == plain.bounds(TABLE).scale.tolist(), "eps stays in raw units"
    assert fit(batch, TABLE, {"flat": "quantile"}).curves == ()
    assert "'size' is taken by its rank" in " ".join(said(scaler, TABLE))


@pytest.mark.parametrize("name", ["kind", "sizes"])
def test_what_is_no_column_of_numbers_is_not_spread_out(name: str) -> None:
    with pytest.raises(ScalingError, match=f"transform: unknown feature '{name}'"):
        fit(Batch(ROWS, ROWS[:, 0]), TABLE, {name: "quantile"})
