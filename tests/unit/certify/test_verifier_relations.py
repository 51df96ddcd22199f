"""The complete verifier of a table whose columns are related: a point that is no valid record refutes nothing."""

import keras
import numpy as np

from redoubt.attacks.core.criteria import Untargeted
from redoubt.bundle.relations.table import Relations
from redoubt.certify.batches import verify_batch
from redoubt.certify.branch_and_bound import Limit
from redoubt.core.types import Batch, Bounds

HOW = ("complete", Limit(rounds=20))


def network(first: float, second: float) -> keras.Model:
    """Class 1 where `first * a + second * b` is above 0."""
    inputs = keras.Input((2,))
    made = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    made.set_weights([np.array([[0, first], [0, second]], np.float32), np.zeros(2, np.float32)])
    return made


def bounds(*lines: str) -> Bounds:
    """Of two numbers with those relations."""
    sides = np.full(2, -9, np.float32), np.full(2, 9, np.float32), np.ones(2, np.float32)
    return Bounds(*sides, relations=Relations.of(lines, {"a": 0, "b": 1}) if lines else None)


def verdicts(model: keras.Model, box: Bounds, x: list[list[float]]) -> list[str]:
    batch = Batch(np.array(x, np.float32), np.zeros(len(x), np.int64))
    return [each.verdict for each in verify_batch(model, Untargeted(), box, batch, 1.0, HOW)]  # type: ignore[arg-type]


def test_what_only_a_broken_relation_would_reach_is_not_called_adversarial() -> None:
    # It takes a above b, which no valid record has.
    model, x = network(1.0, -1.0), [[-0.5, 0.0], [-5.0, 0.0], [0.5, 0.5 + 1e-3]]
    assert verdicts(model, bounds(), x) == ["adversarial", "proven", "adversarial"]
    assert verdicts(model, bounds("a <= b"), x) == ["undecided", "proven", "undecided"]


def test_a_point_that_repair_leaves_adversarial_still_is() -> None:
    # The largest sum has a above b; the repaired one is still above 0.
    model, x = network(1.0, 1.0), [[-0.5, -0.4], [-5.0, 0.0]]
    assert verdicts(model, bounds("b <= 0.5 + a * 0"), x) == ["adversarial", "proven"]
    assert verdicts(model, bounds("a in [-5, -0.5, 0, 4]"), x) == ["adversarial", "proven"]
