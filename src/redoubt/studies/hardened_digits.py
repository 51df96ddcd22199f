"""Networks for digits that learn by a recipe, as the models of a task do."""

import keras

from redoubt.attacks.core.criteria import Untargeted
from redoubt.core.types import PIXELS, Batch
from redoubt.params.recipes import AnyRecipe
from redoubt.params.settings.sections import Eps
from redoubt.training.context import TrainingContext
from redoubt.training.fit import Plan, fit
from redoubt.training.recipes import prepare


def harden(
    network: keras.Model, recipe: AnyRecipe, plan: Plan, eps: Eps, train: Batch, validation: Batch
) -> keras.Model:
    """Train a classifier of images by a recipe.

    Args:
        network: untrained; it is trained in place.
        recipe: names the method, and how it is done.
        plan: made of the recipe, by `plan_for`.
        eps: that the recipe trains at, unless it names one of its own.
        train: images with their classes.
        validation: likewise; the epoch that is best on them is kept.

    Returns:
        The network to use: the trained one, or its running average if the recipe asks for that.
    """
    context = TrainingContext(
        network=network,
        criterion=Untargeted(),
        bounds=PIXELS,
        eps=eps,
        train=train,
        validation=validation,
        plan=plan,
    )
    setup = prepare(recipe, context)
    fit(setup.trainer, setup.trainer.kept, setup.train, setup.robust_validation, plan)
    return setup.trainer.kept
