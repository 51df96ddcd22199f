"""`package.module:function` as a target: any Python function from an array of inputs to scores or labels."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from redoubt.bundle.batches import slices
from redoubt.core.types import Floats
from redoubt.targets.contract import Opening, Target, TargetError
from redoubt.targets.reading import SAYS, asking, read_answers

ROWS_AT_ONCE = 1024


def open_function(said: str, opening: Opening) -> Target:
    """Import a function and read what it answers.

    Raises:
        TargetError: it cannot be imported or called, or answers neither scores nor labels.
    """
    return of_function(_imported(said), said, opening)


def of_function(function: Callable[[Floats], Any], said: str, opening: Opening) -> Target:
    """A function as a target.

    Args:
        function: takes float32 inputs `(examples, ...)`; answers scores `(examples, classes)`, probabilities, or
            labels `(examples,)`.
        said: what messages call it.
        opening: see `Opening`.

    Raises:
        TargetError: it fails on the examples, or answers neither scores nor labels.
    """
    ask, notes = _asks(function, said, opening)
    reading = read_answers(ask, opening, said)
    scores = asking(ask, reading)

    def predict(x: Floats) -> Floats:
        return np.concatenate([scores(x[part]) for part in slices(max(len(x), 1), ROWS_AT_ONCE)])

    return Target(
        said=said,
        kind="callable",
        predict=predict,
        width=reading.width,
        access="labels" if reading.form == "labels" else "scores",
        labels=opening.labels,
        notes=(*notes, *([SAYS[reading.form]] if SAYS[reading.form] else [])),
    )


def _asks(function: Callable[[Any], Any], said: str, opening: Opening) -> tuple[Callable[[Floats], Any], list[str]]:
    """A function that asks as the given one wants to be asked, and what must be said of it: many want a frame."""
    x, names = opening.examples.x, list(opening.features)
    ask = _asker(function, said)
    if not names or x.ndim != 2 or len(names) != x.shape[1]:
        return ask, []
    try:
        ask(x)
    except TargetError:
        framed = _asker(lambda rows: function(pd.DataFrame(rows, columns=names)), said)
        with contextlib.suppress(TargetError):
            framed(x)
            return framed, [f"it is called with a table of the columns {', '.join(names[:10])}"]
    return ask, []


def _asker(function: Callable[[Floats], Any], said: str) -> Callable[[Floats], Any]:
    def ask(x: Floats) -> Any:
        try:
            # Its own copy, in which it may write, and apart from the command's output, which a program may read.
            with contextlib.redirect_stdout(sys.stderr):
                return function(x.copy())
        except (Exception, SystemExit) as error:
            told = str(error).strip().splitlines() or [""]
            raise TargetError(
                f"{said} fails on inputs of shape {x.shape}, {x.dtype} ({type(error).__name__}: {told[0][:200]});"
                " it is called with many examples at a time"
            ) from None

    return ask


def _imported(said: str) -> Callable[[Floats], Any]:
    module, _, name = said.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise TargetError(f"'{module}' cannot be imported ({error}); give package.module:function") from None
    except (Exception, SystemExit) as error:
        raise TargetError(
            f"'{module}' cannot be imported ({type(error).__name__}: {error}); what it runs when it is imported must"
            " not fail or end the program"
        ) from None
    finally:
        sys.path.remove(here)
    for part in name.split("."):
        if not hasattr(found, part):
            raise TargetError(
                f"'{module}' has no '{name}'; it has {', '.join(_callables(found)[:10]) or 'no function'}"
            )
        found = getattr(found, part)
    for method in ("predict_proba", "predict"):
        if not callable(found) and hasattr(found, method):
            found = getattr(found, method)
    if not callable(found):
        raise TargetError(f"'{said}' is a {type(found).__name__}; expected a function from inputs to scores or labels")
    answer: Callable[[Floats], Any] = found
    return answer


def _callables(module: Any) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_") and callable(getattr(module, name))]
