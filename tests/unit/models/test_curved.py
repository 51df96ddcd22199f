"""Curves as layers: the right values and slopes, exact bounds, the same in ONNX, and no room for a false proof."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.attacks.core.bpda import straight_through
from redoubt.certify.interval import Box, bounds_of
from redoubt.certify.interval_onnx import add_proof
from redoubt.certify.piecewise import piecewise_linear
from redoubt.core.types import Floats
from redoubt.data.prepare.scaling import Scaler
from redoubt.models.curved import FAR, REACH, CurveError
from redoubt.models.export import add_network
from redoubt.models.networks import SCALER, scaling
from redoubt.models.onnx_graph import Graph
from redoubt.models.saved import load_network, save_network
from redoubt.params.settings.networks import Linear
from tests.support.skewed import NUMBER, SKEWED, X, network, scaler

LINEAR = Linear(kind="linear")
INPUTS = X.shape[1]
seeds, radii = st.integers(0, 10**6), st.sampled_from([0.0, 1e-6, 1e-3, 0.3, 3.0])


@pytest.fixture(scope="module")
def first() -> keras.Model:
    return keras.Sequential([keras.Input((INPUTS,)), *scaling(LINEAR, scaler())])


def expected(x: Floats) -> np.ndarray:
    """In double precision, by the definition; inside the outermost knots."""
    given = scaler()
    columns = [
        (column - mean) / std if curve is None else np.interp(column, curve.knots, curve.values)
        for column, mean, std, curve in zip(x.astype(float).T, given.mean, given.std, given.curves, strict=True)
    ]
    return np.stack(columns, axis=1)


def test_the_layers_are_the_curves(first: keras.Model) -> None:
    inside = np.delete(X, [int(place) for k in range(len(SKEWED)) for place in (X[:, k].argmax(),)], axis=0)
    assert np.abs(first(inside).numpy() - expected(inside)).max() < 2e-3
    assert first.layers[-1].name == SCALER
    assert first.trainable_variables == []


def test_beyond_the_rows_a_curve_goes_straight_on_and_rises(first: keras.Model) -> None:
    low, high = X.min(axis=0), X.max(axis=0)
    steps = np.linspace(-5.0, 5.0, 400)[:, None] * (high - low) + (low + high) / 2
    rising = np.diff(first(steps.astype(np.float32)).numpy(), axis=0)
    assert np.all(rising[:, : len(SKEWED)] > 0)
    far = first(np.float32(low + 2 * REACH * (high - low))[None]).numpy()
    assert np.isfinite(far).all()


@pytest.mark.parametrize("size", [0.0, 1e-7, 1.0, -3.7, 0.9 * FAR])
def test_what_has_no_curve_is_scaled_as_ever(first: keras.Model, size: float) -> None:
    given, age = scaler(), len(SKEWED)
    x = X[:1].copy()
    x[0, age] = given.mean[age] + size * given.std[age]
    plain = (x[0, age] - given.mean[age]) / given.std[age]
    assert first(x).numpy()[0, age] == pytest.approx(plain, rel=1e-6, abs=1e-7)
    assert np.array_equal(first(x).numpy()[0, age + 1 :], x[0, age + 1 :])


def test_an_attack_sees_the_slope_of_every_row(first: keras.Model) -> None:
    """Also of the many that share one value, and never that of a segment elsewhere."""
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = straight_through(first)(x)
    slopes = tape.batch_jacobian(outputs, x).numpy()[:, range(INPUTS), range(INPUTS)]
    for place, curve in enumerate(scaler().curves):
        assert np.all(slopes[:, place] > 0)
        if curve is not None:
            segment = np.clip(np.searchsorted(curve.knots, X[:, place].astype(float)) - 1, 0, len(curve.knots) - 2)
            right = (np.diff(curve.values) / np.diff(curve.knots))[segment]
            assert np.allclose(slopes[:, place], right, rtol=1e-3)


def boxes(seed: int, radius: float) -> tuple[Floats, Floats]:
    """Round some of the rows, and far outside of them; a radius is in standard deviations."""
    rng = np.random.default_rng(seed)
    x = X[rng.choice(len(X), 4)] * rng.choice([1.0, 1.0, 3.0], (4, 1))
    reach = radius * rng.random(x.shape) * X.std(axis=0)
    return (x - reach).astype(np.float32), (x + reach).astype(np.float32)


def inside(seed: int, low: Floats, high: Floats) -> Floats:
    """Ends, corners and inner points of every box, `(points, rows, features)`."""
    rng = np.random.default_rng(seed + 1)
    corners = [np.where(rng.integers(2, size=low.shape) == 1, high, low) for _ in range(20)]
    inner = [(low + rng.random(low.shape) * (high - low)).astype(np.float32) for _ in range(40)]
    return np.clip(np.stack([low, high, *corners, *inner]), low, high)


@settings(max_examples=40)
@given(seeds, radii)
def test_no_point_of_a_box_leaves_the_bounds_and_they_lose_nothing(seed: int, radius: float) -> None:
    first = keras.Sequential([keras.Input((INPUTS,)), *scaling(LINEAR, scaler())])
    low, high = boxes(seed, radius)
    ends = bounds_of(first, Box(tf.constant(low), tf.constant(high)))
    points = inside(seed, low, high)
    made = first(points.reshape(-1, INPUTS)).numpy().reshape(len(points), *low.shape)
    assert np.all(made >= ends.low.numpy())
    assert np.all(made <= ends.high.numpy())
    # What rises takes the ends of a box to its own ends: no more than rounding lies between.
    for bound, exact in ((ends.low, made[0]), (ends.high, made[1])):
        assert np.allclose(bound, exact, rtol=1e-3, atol=5e-2)


@settings(max_examples=25)
@given(seeds, radii, st.sampled_from([(), (8,), (6, 5)]), st.booleans())
def test_no_point_of_a_box_leaves_the_bounds_of_a_whole_network(
    seed: int, radius: float, units: tuple[int, ...], classes: bool
) -> None:
    whole = network(units=units, seed=seed) if classes else network(NUMBER, units, seed)
    low, high = boxes(seed, radius)
    ends = bounds_of(whole, Box(tf.constant(low), tf.constant(high)))
    points = inside(seed, low, high)
    made = whole(points.reshape(-1, INPUTS)).numpy().reshape(len(points), *ends.low.shape)
    assert np.all(made >= ends.low.numpy())
    assert np.all(made <= ends.high.numpy())


@settings(max_examples=10)
@given(seeds, radii)
def test_what_the_service_computes_and_proves_is_the_same(seed: int, radius: float) -> None:
    whole, graph = network(seed=seed), Graph()
    x = dict.fromkeys(("x", "low", "high"), ("rows", INPUTS))
    y, proof = add_network(graph, whole, "x"), add_proof(graph, whole, "low", "high")
    model = graph.build(x, {"y": (y, ("rows", 2)), "proof": (proof, ("rows", 2))})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    low, high = boxes(seed, radius)
    points = inside(seed, low, high)
    for some in points:
        found, lead = session.run(None, {"x": some, "low": low, "high": high})
        assert np.allclose(found, whole(some).numpy(), rtol=1e-3, atol=1e-3)
        assert np.all(found[:, 0] - found[:, 1] >= lead[:, 0]), "a point of the box beats what was proven of it"
        assert np.all(found[:, 1] - found[:, 0] >= lead[:, 1])


def test_the_complete_verifier_sees_the_same_network() -> None:
    whole = network()
    assert np.allclose(piecewise_linear(whole)(X.astype(float)), whole(X).numpy(), rtol=1e-3, atol=1e-3)


def test_a_saved_network_is_read_back_by_keras_alone(tmp_path: Path) -> None:
    whole = network()
    save_network(whole, tmp_path)
    assert np.array_equal(load_network(tmp_path)(X).numpy(), whole(X).numpy())


def test_a_scaler_with_curves_survives_json() -> None:
    given = scaler()
    assert Scaler.from_json(json.loads(json.dumps(given.to_json()))).curves == given.curves


def test_a_table_too_wide_for_its_curves_is_refused() -> None:
    given = scaler()
    wide = replace(
        given,
        mean=np.zeros(3000, np.float32),
        std=np.ones(3000, np.float32),
        curves=(given.curves[0], *[None] * 2999),
    )
    with pytest.raises(CurveError, match="3,000 network inputs"):
        scaling(LINEAR, wide)
