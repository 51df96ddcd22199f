"""A bundle away from the project that made it: its card tells eps and data, and examples may lie beside it."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from redoubt.bundle.base.io import read_typed
from redoubt.data import sources
from redoubt.data.arrays import read_npz

Size = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
WHITE = 255


class _Part(BaseModel):
    """What is read of a stranger's card: typed, bounded, and nothing else of it used."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class EpsOfCard(_Part):
    """How large a perturbation the model was hardened against."""

    linf: Size
    l2: Size


class Recipe(_Part):
    """A task of a card's params: where its data are from, and its eps."""

    source: Annotated[str, Field(max_length=1000)]
    eps: EpsOfCard | None = None


class _Params(_Part):
    tasks: dict[str, Recipe]


class _Card(_Part):
    params: _Params | None = None


def recipe_of(bundle: Path | None, task: str | None) -> Recipe | None:
    """What a card says of its task; None without a bundle, a card or a recipe in it.

    Raises:
        BundleError: a card that cannot be read.
    """
    if bundle is None or task is None or not (bundle / "card.json").is_file():
        return None
    params = read_typed(bundle / "card.json", _Card).params
    return None if params is None else params.tasks.get(task)


def examples_of(bundle: Path | None, task: str) -> tuple[NDArray[Any], NDArray[Any], str] | None:
    """Test examples for a bundle whose project is not here, with their classes and what they are.

    The whole test set is taken where its file is on this machine, else the examples beside the bundle, in
    `TASK-examples.npz`; nothing is downloaded.

    Raises:
        SourceError: a file that holds something else.
    """
    recipe = recipe_of(bundle, task)
    if bundle is None or recipe is None:
        return None
    whole = sources.test_images(recipe.source)
    if whole is not None:
        return _unit(whole[0]), whole[1], f"test images of {recipe.source}"
    beside = bundle.parent / f"{task}-examples.npz"
    if not beside.is_file():
        return None
    stored = read_npz(beside, ("x", "y"))
    return _unit(stored["x"]), stored["y"], f"{beside}, {len(stored['y'])} test images of {recipe.source}"


def _unit(x: NDArray[Any]) -> NDArray[np.float32]:
    """Images in [0, 1] with a channel, as the pipeline stores them."""
    unit = x.astype(np.float32)
    unit /= WHITE
    return unit[..., None] if unit.ndim == 3 else unit
