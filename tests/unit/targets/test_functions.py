"""Python functions as people write them: what they do beside answering changes nothing of an attack."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from redoubt.core.types import Batch
from redoubt.targets.contract import Opening, TargetError
from redoubt.targets.function import of_function

R = np.random.default_rng(0)
X = R.normal(size=(30, 3)).astype(np.float32)
WEIGHTS = R.normal(size=(3, 2)).astype(np.float32)
NAMES = ("age", "spend", "visits")


def opening(features: tuple[str, ...] = ()) -> Opening:
    return Opening(Batch(X[:8].copy(), np.arange(8) % 2), ("no", "yes"), features=features)


def scores(x: Any) -> Any:
    return np.asarray(x) @ WEIGHTS


def in_place(x: Any) -> Any:
    x *= 2
    found = scores(x) / 2
    x[:] = 0
    return found


def of_a_frame(x: Any) -> Any:
    return scores(x[["visits", "age", "spend"]].to_numpy()[:, [1, 2, 0]])


def as_objects(x: Any) -> Any:
    return pd.DataFrame({"a": scores(x)[:, 0], "b": scores(x)[:, 1]}).astype(object)


@pytest.mark.parametrize("function", [in_place, as_objects, of_a_frame])
def test_it_is_read(function: Callable[[Any], Any]) -> None:
    given = opening(NAMES)
    target = of_function(function, "f", given)
    fixed = X.copy()
    fixed.flags.writeable = False
    assert np.allclose(target.predict(fixed), scores(X), atol=1e-5)
    assert np.array_equal(given.examples.x, X[:8])
    framed = "it is called with a table of the columns age, spend, visits" in target.notes
    assert framed == (function is of_a_frame)


def test_what_it_prints_is_kept_apart_from_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def prints(x: Any) -> Any:
        print("scoring", len(x))
        return scores(x)

    of_function(prints, "f", opening()).predict(X)
    told = capsys.readouterr()
    assert not told.out
    assert "scoring 30" in told.err


def leaves(x: Any) -> Any:
    sys.exit(3)


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (leaves, r"f fails on inputs of shape \(8, 3\), float32 \(SystemExit: 3\)"),
    (lambda x: np.where(scores(x)[:, 0] > 0, 1, -1), "answers class -1; the data have 0..1: number both from 0"),
    (lambda x: None, "f answers NoneType to 8 examples; expected an array"),
    (lambda x: {"probabilities": scores(x)}, "f answers dict to 8 examples; expected an array"),
    (lambda x: (row for row in scores(x)), "f answers generator to 8 examples; expected an array"),
]


@pytest.mark.parametrize(("function", "expected"), REFUSED)
def test_it_is_refused(function: Callable[[Any], Any], expected: str) -> None:
    with pytest.raises(TargetError, match=expected):
        of_function(function, "f", opening())
