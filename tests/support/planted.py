"""Opens a model with a lie inside as an audit does, and says what its checks and its figures come to."""

from typing import Any

import numpy as np
import pytest

from redoubt.attacks.core.criteria import Untargeted
from redoubt.audit.budget import Budget
from redoubt.audit.frame import frame_of
from redoubt.audit.judge import Judge
from redoubt.audit.plan import plan
from redoubt.audit.result import Audit
from redoubt.audit.run import Settings, audit
from redoubt.audit.suspicions import look, suspicions
from redoubt.core.types import Batch
from redoubt.targets.contract import Opening, Target
from redoubt.targets.keras_file import of_model

LABELS = ("dark", "grey", "bright")


def opened(network: Any, batch: Batch, labels: tuple[str, ...] = LABELS) -> Target:
    return of_model(network, "planted", Opening(batch.take(np.arange(8)), labels))


def failed(network: Any, batch: Batch, bounds: tuple[float, float] | None = None) -> dict[str, str]:
    """The checks before any attack that fail."""
    judge = Judge(opened(network, batch), frame_of(batch.x, bounds), Untargeted())
    return {check.name: check.found for check in suspicions(judge, batch, look(judge, batch)) if not check.passed}


def audited(target: Target, batch: Batch, patch: pytest.MonkeyPatch, *, eps: float = 0.2, whole: bool = True) -> Audit:
    """An audit with few queries and steps; without `whole` only the attacks that its checks look at."""
    for name in ("MANY", "FEW"):
        patch.setattr(f"redoubt.audit.plan.{name}", 60)
    patch.setattr("redoubt.audit.plan.STEPS", 10)
    if not whole:
        patch.setattr("redoubt.audit.run.plan", lambda scope: [step for step in plan(scope) if step.alone])
    return audit(target, batch, frame_of(batch.x, None), Settings(eps=(eps,), budget=Budget(60.0))).audit
