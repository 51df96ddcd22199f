"""A champion as it lies in its folder: a bundle, its card and a request to try; and the incumbent that it must beat."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.base.types import Name
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, NOT_PROMOTED, GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.core.store import whole_folder, write_json
from redoubt.core.types import Bounds, Floats, Norm
from redoubt.evaluation.promotion import Candidate
from redoubt.params.settings.sections import Eps, GatesParams
from redoubt.perturbable import BYTE, grey_levels, in_raw_units, raw_units


class Incumbent(BaseModel):
    """What is compared of an incumbent's card."""

    model: Name
    digest: str
    comparable: dict[str, Any]
    selection: Candidate


def incumbent_of(champion: Path, terms: dict[str, Any], gates: GatesParams) -> Incumbent | None:
    """The card of a whole champion that clears the gates and was measured on the same terms."""
    try:
        whole = GuardedModel.load(champion).digest
        card = read_typed(champion / "card.json", Incumbent)
    except (BundleError, OSError):
        return None
    usable = card.digest == whole and card.comparable == terms
    return card if usable and not card.selection.failed(gates) else None


def install(folder: Path, source: Path | None, card: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Write the champion with its card and a request to try; without a champion, the folder says why.

    Args:
        folder: made, or replaced whole.
        source: bundle of the model that is promoted; None if no model is.
        card: what is known of it.
        request: as the service wants it.
    """
    with whole_folder(folder) as temporary:
        if source is None:
            (temporary / NOT_PROMOTED).write_text("No model cleared the gates; see promotion.json in reports/.\n")
            return
        for name in BUNDLE_FILES:
            shutil.copyfile(source / name, temporary / name)
        write_json(temporary / "card.json", card)
        write_json(temporary / "example.json", request)


def clean_figures(measured: dict[str, Any]) -> dict[str, Any]:
    """Clean figures on the test split, of the network alone and as it is served: behind its guard."""
    return {"network": measured["clean"]["undefended"], "guarded": measured["clean"]["guarded"]}


def threat_of(
    schema: Schema, bounds: Bounds, norm: Norm, sizes: Eps, trained_elsewhere: Sequence[str], x: Floats
) -> dict[str, Any]:
    """For the card: the size that was gated, in raw units too, and which models trained at another one.

    Args:
        schema: names the features.
        bounds: that hold them.
        norm: of the gates.
        sizes: of the task.
        trained_elsewhere: a sentence per model that trained at another size.
        x: examples, whose pixels may have fewer levels than a byte.
    """
    eps, levels = sizes.of(norm), grey_levels(x)
    return {
        "norm": norm,
        "eps": eps,
        "says": in_raw_units(schema, bounds, norm, eps, levels),
        **({"levels": levels} if schema.kind == "image" and levels != BYTE else {}),
        "raw_units": raw_units(schema, bounds, eps),
        "trained_elsewhere": list(trained_elsewhere),
    }
