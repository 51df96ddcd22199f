"""Robustness as an assertion, for tests of one's own: `from redoubt.testing import assert_robust`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from redoubt.core.errors import RedoubtError
from redoubt.core.types import Norm

if TYPE_CHECKING:
    from redoubt.audit.result import Audit


class RobustnessError(RedoubtError, AssertionError):
    """A model that is less robust than was asserted, or whose figure cannot be trusted."""


def assert_robust(
    model: "str | Path | Callable[..., Any]",
    x: ArrayLike,
    y: ArrayLike,
    *,
    eps: float,
    at_least: float,
    norm: Norm = "linf",
    **options: Any,
) -> "Audit":
    """Audit a model, and fail the test if its robust accuracy is too low or cannot be believed.

    Args:
        model: a Keras model, a function from float32 inputs to scores or labels, or any target that `redoubt audit`
            takes by its name.
        x: inputs `(examples, ...)` in the unit that the model takes.
        y: true classes `(examples,)`, numbered from 0.
        eps: largest perturbation; in the unit of the inputs for images and with `bounds`, else in standard deviations.
        at_least: share of the examples that must stay correct, in [0, 1].
        norm: of the perturbations.
        options: `bounds=(LO, HI)`, `budget="1m"`, `repeats=1` (of a random model), `seed=0`, `trust=False`.

    Returns:
        The audit, for further assertions.

    Raises:
        RobustnessError: robust accuracy is below, a check failed, or the audit broke off.
        RedoubtError: the model or the examples cannot be audited.
    """
    from redoubt.quiet import import_tensorflow

    import_tensorflow()
    from redoubt.audit.arrays import audit_arrays

    found = audit_arrays(model, x, y, eps=(eps,), norm=norm, **options).audit
    if found.failed:
        told = "; ".join(f"{check.name}: {check.found}" for check in found.failed)
        raise RobustnessError(f"{found.verdict}: {told}")
    if found.worst.share < at_least:
        raise RobustnessError(f"{found.verdict}; expected at least {100 * at_least:g} %")
    return found
