"""A bundle behind the guard that only detects: its files as they were attacked, one word of guard.json aside."""

import shutil
from pathlib import Path

import numpy as np

from redoubt.bundle.model.guarded_model import BUNDLE_FILES, GuardedModel, softmax
from redoubt.core.store import whole_folder, write_json
from redoubt.core.types import Floats
from redoubt.defenses.agreement import require_agreement


def write_detecting(source: Path, folder: Path, x: Floats) -> None:
    """Copy a bundle and take the vote from its guard.

    Args:
        source: bundle whose network was attacked.
        folder: replaced if it exists.
        x: inputs `(examples, *schema.shape)` on which both must agree.

    Raises:
        BundleError: its answers are not those of the network that was attacked.
    """
    attacked = GuardedModel.load(source)
    with whole_folder(folder) as temporary:
        for name in BUNDLE_FILES:
            shutil.copyfile(source / name, temporary / name)
        write_json(temporary / "guard.json", {**attacked.guard.model_dump(), "vote": "plain"})
        outputs = attacked.network(x)
        expected = softmax(outputs) if attacked.schema.is_classification else outputs
        found = GuardedModel.load(temporary).predict(x, np.random.default_rng(0)).vote
        sentence = "the guard that only detects answers otherwise than the network that was attacked"
        require_agreement(found, expected, sentence)
