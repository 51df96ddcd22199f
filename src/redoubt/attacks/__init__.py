"""Attacks under one contract: inside the ball, inside the bounds, seeded."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redoubt.attacks.apgd import APGD, APGDT
    from redoubt.attacks.carlini_wagner import CarliniWagner
    from redoubt.attacks.core.criteria import Targeted, Tolerance
    from redoubt.attacks.core.gradient import PGD, Restarts, bim, corner, fgsm
    from redoubt.attacks.core.problem import AttackError
    from redoubt.attacks.ensemble import Ensemble
    from redoubt.attacks.hopskipjump import HopSkipJump
    from redoubt.attacks.noise import Noise
    from redoubt.attacks.own_model import problem_for
    from redoubt.attacks.square import Square

_HOMES = {
    "problem_for": "own_model",
    "APGD": "apgd",
    "APGDT": "apgd",
    "AttackError": "core.problem",
    "CarliniWagner": "carlini_wagner",
    "Ensemble": "ensemble",
    "HopSkipJump": "hopskipjump",
    "Noise": "noise",
    "PGD": "core.gradient",
    "Restarts": "core.gradient",
    "Square": "square",
    "Targeted": "core.criteria",
    "Tolerance": "core.criteria",
    "bim": "core.gradient",
    "corner": "core.gradient",
    "fgsm": "core.gradient",
}
__all__ = [
    "APGD",
    "APGDT",
    "PGD",
    "AttackError",
    "CarliniWagner",
    "Ensemble",
    "HopSkipJump",
    "Noise",
    "Restarts",
    "Square",
    "Targeted",
    "Tolerance",
    "bim",
    "corner",
    "fgsm",
    "problem_for",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: the catalogue lists the attacks without TensorFlow."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
