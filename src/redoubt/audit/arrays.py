"""An audit of a model in memory on arrays in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from redoubt.audit.budget import parse
from redoubt.audit.frame import frame_of
from redoubt.audit.run import AuditError, Outcome, Settings, audit
from redoubt.core.types import Batch, Norm
from redoubt.targets.contract import Opening, Target, a_few
from redoubt.targets.function import of_function
from redoubt.targets.keras_file import of_model
from redoubt.targets.open import open_target

BUDGET = "1m"


def audit_arrays(
    model: str | Path | Callable[..., Any],
    x: ArrayLike,
    y: ArrayLike,
    *,
    eps: tuple[float, ...] = (),
    norm: Norm = "linf",
    bounds: tuple[float, float] | None = None,
    **options: Any,
) -> Outcome:
    """Audit a model of classes.

    Args:
        model: see `redoubt.testing.assert_robust`.
        x: inputs `(examples, ...)`.
        y: classes `(examples,)`, numbered from 0.
        eps: sizes of the perturbation; none takes the default.
        norm: of the perturbations.
        bounds: smallest and largest input; inferred if None.
        options: `budget`, `repeats`, `seed`, `trust`, `labels` and `features`.

    Raises:
        AuditError: arrays that are no examples, or an option that is unknown.
        RedoubtError: the model or the examples cannot be audited.
    """
    unknown = sorted(set(options) - {"budget", "repeats", "seed", "trust", "labels", "features"})
    if unknown:
        raise AuditError(
            f"there is no option '{unknown[0]}'; expected budget, repeats, seed, trust, labels or features"
        )
    batch = _batch(x, y)
    labels = tuple(options.get("labels", ())) or tuple(str(each) for each in range(int(batch.y.max()) + 1))
    features = tuple(options.get("features", ()))
    opening = Opening(a_few(batch), labels, trust=bool(options.get("trust", False)), features=features)
    settings = Settings(
        norm, eps, parse(options.get("budget", BUDGET)), int(options.get("repeats", 1)), int(options.get("seed", 0))
    )
    target = _opened(model, opening)
    try:
        return audit(target, batch, frame_of(batch.x, bounds, features, whole=target.whole), settings)
    finally:
        target.close()


def _batch(x: ArrayLike, y: ArrayLike) -> Batch:
    inputs, classes = np.asarray(x, np.float32), np.asarray(y)
    if inputs.ndim < 2 or classes.shape != (len(inputs),) or not len(inputs):
        raise AuditError(f"x has shape {inputs.shape} and y {classes.shape}; expected (examples, ...) and (examples,)")
    if not np.issubdtype(classes.dtype, np.number) or np.any(classes != np.round(classes)) or classes.min() < 0:
        raise AuditError(f"y holds {classes.dtype}, such as {classes[0]!r}; expected classes numbered from 0")
    return Batch(inputs, classes.astype(np.int64))


def _opened(model: str | Path | Callable[..., Any], opening: Opening) -> Target:
    if isinstance(model, str | Path):
        return open_target(str(model), opening)
    if isinstance(model, keras.Model):
        return of_model(model, model.name, opening)
    return of_function(model, getattr(model, "__name__", "the function"), opening)
