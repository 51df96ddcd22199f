"""A bundle again, behind the guard that only detects: the answer is the network's own, smoothed variants flag."""

from pathlib import Path

import numpy as np

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import GuardedModel, softmax
from redoubt.core.types import Floats
from redoubt.defenses.write_bundle import AGREEMENT, write_bundle
from redoubt.models.saved import load_network


def write_detecting(source: Path, folder: Path, clean: Floats) -> None:
    """Export a bundle's network behind its guard without the vote.

    Args:
        source: bundle whose network was attacked.
        folder: replaced if it exists.
        clean: validation inputs `(examples, *schema.shape)`, for the detector's threshold.

    Raises:
        BundleError: its answers are not those of the network that was attacked; or as of `write_bundle`.
    """
    attacked = GuardedModel.load(source)
    config = {**attacked.guard.model_dump(), "vote": "plain", "draws": 0}
    write_bundle(folder, load_network(source), attacked.schema, GuardConfig.model_validate(config), clean)
    made = GuardedModel.load(folder)
    outputs = attacked.network(clean)
    expected = softmax(outputs) if attacked.schema.is_classification else outputs
    found = made.predict(clean, np.random.default_rng(0)).vote
    worst = float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
    if not worst <= AGREEMENT:
        raise BundleError(
            f"the guard that only detects answers otherwise than the network that was attacked: {worst:g} (relative); "
            f"at most {AGREEMENT:g}"
        )
