"""The settings of the stage that hardens one model."""

from typing import Literal

from redoubt.bundle.base.types import Name
from redoubt.params.recipes import AnyRecipe
from redoubt.params.settings.sections import Eps, ImageGuard, TableGuard, Thresholded, Tolerant
from redoubt.params.settings.stages import Seed


class HardenSettings(Tolerant):
    """The recipe of one hardened model, and the guard that it is given."""

    name: Name
    model: Literal["adversarial", "certified", "smoothed"]
    recipe: AnyRecipe
    eps: Eps
    train: Thresholded
    guard: ImageGuard | TableGuard
    seed: Seed
