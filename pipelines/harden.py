"""Train one hardened model by its recipe: adversarially, by interval bounds, or under noise for smoothing."""

from typing import Any

import pipelines._quiet  # noqa: F401
from pipelines._data import load_data, some_rows
from pipelines._stage import run
from pipelines._training import THREADS, EpochBar, checkpoint, selected, write_seconds, write_training
from redoubt.attacks.core.criteria import criterion_for
from redoubt.core.store import plain
from redoubt.models.networks import build
from redoubt.params.harden import HardenSettings
from redoubt.params.recipes import Sized, trained_elsewhere
from redoubt.training.balance import class_weights
from redoubt.training.context import TrainingContext
from redoubt.training.determinism import make_deterministic
from redoubt.training.fit import Plan, fit
from redoubt.training.recipes import plan_for, prepare
from redoubt.training.sweep import describe

VALIDATED = 1000


def work(settings: HardenSettings) -> None:
    """Read the selection, rows and scaler; write the model's bundle, its learning curve and its record."""
    for said in trained_elsewhere(settings.model, settings.recipe, settings.eps):
        print(f"harden@{settings.name}: {said}")
    make_deterministic(settings.seed, THREADS)
    data, choice, recipe = load_data(settings.name), selected(settings.name), settings.recipe
    model = recipe.model or choice.settings
    plan = plan_for(recipe, choice.batch_size, choice.learning_rate, settings.seed)
    context = TrainingContext(
        network=build(model, data.schema, data.scaler, settings.seed),
        criterion=criterion_for(settings),
        bounds=data.bounds.covering(data.validation.x),
        eps=settings.eps,
        train=data.train,
        validation=some_rows(data.validation, VALIDATED),
        plan=plan,
        weights=class_weights(data.train.y, data.schema.outputs, settings.train.balance),
    )
    setup = prepare(recipe, context)
    trainer = setup.trainer
    sizes = {"recipe": recipe.model_dump(), "eps": settings.eps.model_dump(), "weights": context.weights}
    key: dict[str, Any] = {"plan": vars(plan), **sizes, "model": model.model_dump(), "data": data.sha256}
    state = checkpoint(settings.name, settings.model, key)
    bar = EpochBar(f"harden@{settings.name} {settings.model}", plan.epochs)
    history = fit(trainer, trainer.kept, setup.train, setup.robust_validation, plan, checkpoint=state, progress=bar)
    chosen = _chosen(settings, plan, describe(model, data.schema.outputs))
    write_training(settings, settings.model, trainer.kept, history, data, chosen)
    write_seconds(settings.name, settings.model, state)
    state.unlink()


def _chosen(settings: HardenSettings, plan: Plan, model: str) -> dict[str, Any]:
    """What the record tells of the recipe and of the plan that came of it."""
    recipe = settings.recipe
    own = recipe.model_dump(exclude={"method", "model", "batch_size", "learning_rate", "train_eps"}, exclude_none=True)
    return {
        "training": recipe.method,
        **({"train/eps": recipe.trained_at(settings.eps)} if isinstance(recipe, Sized) else {}),
        **{
            f"train/{key}": value if isinstance(value, int | float | str) else str(plain(value))
            for key, value in own.items()
        },
        "model": model,
        "balance": settings.train.balance,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "seed": settings.seed,
    }


if __name__ == "__main__":
    run("harden", HardenSettings, work)
