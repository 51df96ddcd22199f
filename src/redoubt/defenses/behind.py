"""A bundle behind another of its guards: its files as they were attacked, one word of guard.json aside."""

import shutil
from pathlib import Path

import numpy as np

from redoubt.bundle.base.types import Vote
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, GuardedModel, softmax
from redoubt.core.store import whole_folder, write_json
from redoubt.core.types import Floats
from redoubt.defenses.agreement import require_agreement


def write_behind(source: Path, folder: Path, vote: Vote, x: Floats) -> None:
    """Copy a bundle and have one variant alone answer.

    Args:
        source: bundle that was attacked, whose variants all vote.
        folder: replaced if it exists.
        vote: the variant that answers.
        x: inputs `(examples, *schema.shape)` on which both must agree.

    Raises:
        BundleError: its answers are not those of what was attacked.
    """
    attacked = GuardedModel.load(source)
    with whole_folder(folder) as temporary:
        for name in BUNDLE_FILES:
            shutil.copyfile(source / name, temporary / name)
        write_json(temporary / "guard.json", {**attacked.guard.model_dump(), "vote": vote})
        outputs = attacked.network(x) if vote == "plain" else _of_variant(attacked, vote, x)
        expected = softmax(outputs) if attacked.schema.is_classification else outputs
        found = GuardedModel.load(temporary).predict(x, np.random.default_rng(0)).vote
        what = "network" if vote == "plain" else f"{vote} variant"
        require_agreement(found, expected, f"the guard answers otherwise than the {what} that was attacked")


def _of_variant(model: GuardedModel, name: str, x: Floats) -> Floats:
    outputs: Floats = model.predict(x, np.random.default_rng(0)).outputs[:, model.variants.index(name)]
    return outputs
