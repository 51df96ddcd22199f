"""What float32 would lose of a column is found before anything is learned from it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Floats
from redoubt.data.expectations import validate
from redoubt.data.prepare.precision import KEPT, LARGEST_STD, SMALLEST_STD, measure
from redoubt.data.prepare.scaling import ScalingError, fit, require_scalable
from redoubt.data.shared.dataset import Raw
from redoubt.data.tables import Origin, build
from redoubt.params.load import Params

ROWS = 200
RNG = np.random.default_rng(1)
NORMAL = RNG.normal(size=ROWS)
ONE = Schema(
    task="own",
    kind="classification",
    target="answer",
    columns=(Column(name="size", kind="number"),),
    shape=(1,),
    labels=("a", "b"),
)


def raw_of(params: Params, column: Any, target: Any = None) -> Raw:
    classes = np.array(["a", "b"])[np.arange(ROWS) % 2]
    table = pd.DataFrame({"size": column, "answer": classes if target is None else target})
    name = "diagnosis" if target is None else "evolution"
    own = {"source": "own.csv", "target": "answer", "features": (), "categorical": (), "integer": ()}
    return build(table, params.tasks[name].model_copy(update=own), Origin("own.csv"))


def broken(params: Params, raw: Raw) -> list[dict[str, Any]]:
    task = params.tasks["evolution" if not raw.schema.labels else "diagnosis"]
    rules = validate(raw, task).report["rules"]
    return [rule for rule in rules if not rule["passed"] and "32 bits" in rule["rule"]]


LOST: dict[str, tuple[Any, str, str]] = {
    "picofarads-in-farads": (1e-12 * NORMAL, "size", "standard deviation that 32 bits can hold"),
    "kilograms-of-stars": (1e24 * NORMAL, "size", "standard deviation that 32 bits can hold"),
    "milliseconds": (1.7e12 + 1000 * np.arange(ROWS), "size (in 32 bits)", "values that 32 bits keep apart"),
    "big-numbers": (9e15 + np.arange(ROWS), "size (in 32 bits)", "values that 32 bits keep apart"),
    "two-values": (1e9 + (np.arange(ROWS) % 2), "size (in 32 bits)", "values that 32 bits keep apart"),
}


@pytest.mark.parametrize("case", LOST)
@pytest.mark.parametrize("role", ["feature", "target"])
def test_a_column_that_float32_would_blur(params: Params, case: str, role: str) -> None:
    column, where, rule = LOST[case]
    raw = raw_of(params, column) if role == "feature" else raw_of(params, NORMAL, target=column)
    found = broken(params, raw)
    assert [(each["rule"], each["column"]) for each in found] == [
        (rule, where if role == "feature" else where.replace("size", "answer"))
    ]
    assert "leave it out" in found[0]["fix"]
    assert any(word in found[0]["fix"] for word in ("unit", "subtract a start"))


KEPT_COLUMNS = {
    "normal": NORMAL,
    "seconds-of-a-quarter": 1.7e9 + 86_400 * np.arange(ROWS) / 2,
    "milliseconds-since-a-start": 1000.0 * np.arange(ROWS),
    "microns-in-metres": 1e-5 * NORMAL,
    "constant": np.full(ROWS, 1.7e12),
    "flags": np.arange(ROWS) % 2,
    "one-empty": np.where(np.arange(ROWS) == 3, np.nan, NORMAL),
}


@pytest.mark.parametrize("case", KEPT_COLUMNS)
def test_a_column_that_float32_holds(params: Params, case: str) -> None:
    assert not broken(params, raw_of(params, KEPT_COLUMNS[case]))


def passes(values: np.ndarray) -> bool:
    found = measure(pd.Series(values))
    if found is None or not SMALLEST_STD <= found.std <= LARGEST_STD:
        return False
    return not found.matters or found.kept >= KEPT * found.distinct


def scaled(values: np.ndarray) -> Floats:
    """As the network's first layer does it, in float32; Keras divides by no less than 1e-7."""
    x = values.astype(np.float32)[:, None]
    scaler = fit(Batch(x, np.zeros(len(x), np.int64)), ONE)
    variance = np.square(scaler.std).astype(np.float32)
    return np.asarray((x - scaler.mean) / np.maximum(np.sqrt(variance), np.float32(1e-7)))[:, 0]


starts = st.sampled_from([0.0, 1.0, 1e3, 1.7e9, 1.7e12, -3e15])
units = st.sampled_from([1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e9, 1e17])
steps = arrays(np.int64, st.integers(3, 40), elements=st.integers(-1000, 1000))


@given(start=starts, unit=units, steps=steps)
def test_what_passes_keeps_its_order_at_the_networks_input(start: float, unit: float, steps: np.ndarray) -> None:
    values = start + unit * steps.astype(np.float64)
    assume(passes(values))
    inputs = scaled(values)
    assert np.isfinite(inputs).all()
    assert 0.9 < inputs.std() < 1.1, "what the network sees has a spread of 1"
    ordered = inputs[np.argsort(values, kind="stable")]
    assert (np.diff(ordered) >= 0).all(), "no two rows change places"
    apart, found = len(np.unique(inputs)), measure(pd.Series(values))
    assert found is not None
    assert (
        apart >= min(KEPT * found.distinct, found.kept) - 1 or found.step < (1e-6 if found.whole else 1e-3) * found.std
    )


def test_training_rows_alone_may_lack_the_spread() -> None:
    y = np.zeros(3, np.int64)
    require_scalable(fit(Batch(np.array([[1.0], [2.0], [4.0]], np.float32), y), ONE), ONE)
    require_scalable(fit(Batch(np.ones((3, 1), np.float32), y), ONE), ONE)
    thin = fit(Batch(np.array([[1e-12], [2e-12], [4e-12]], np.float32), y), ONE)
    with pytest.raises(ScalingError, match="column 'size' has a standard deviation of 1.25e-12 on the training rows"):
        require_scalable(thin, ONE)
