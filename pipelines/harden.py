"""Train hardened models by the task's recipes: adversarial, certified by interval bounds, and for smoothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pipelines._quiet  # noqa: F401
from pipelines._data import TaskData, load_data, some_rows
from pipelines._stage import run
from pipelines._training import EpochBar, checkpoint, selected, write_seconds, write_training
from redoubt.attacks.criteria import criterion_for
from redoubt.data.store import plain
from redoubt.models.networks import build
from redoubt.params import Params, Sized, Task
from redoubt.perturbable import trained_elsewhere
from redoubt.training.balance import class_weights
from redoubt.training.determinism import make_deterministic
from redoubt.training.fit import fit
from redoubt.training.recipes import TrainingContext, plan_for, prepare
from redoubt.training.sweep import describe

VALIDATED = 1000
# A sum is split over threads, and its last bit depends on their number: fixed, so that other machines agree.
THREADS = 2


def work(params: Params, task: Task, models: Sequence[str]) -> None:
    """Read the selection, rows and scaler; write a bundle, a learning curve and a record per recipe."""
    data = load_data(task.name)
    for said in trained_elsewhere(task):
        print(f"harden@{task.name}: {said}")
    states = [_harden(name, params, task, data) for name in models]
    for state in states:
        state.unlink()


def _harden(name: str, params: Params, task: Task, data: TaskData) -> Path:
    """Train one model, or go on where its training was killed; the state it leaves says that it is done."""
    make_deterministic(params.seed, THREADS)
    choice, recipe = selected(task.name), task.harden.recipe(name)
    model = recipe.model or choice.settings
    plan = plan_for(recipe, choice.batch_size, choice.learning_rate, params.seed)
    context = TrainingContext(
        network=build(model, data.schema, data.scaler, params.seed),
        criterion=criterion_for(task),
        bounds=data.bounds.covering(data.validation.x),
        eps=task.eps,
        train=data.train,
        validation=some_rows(data.validation, VALIDATED),
        plan=plan,
        weights=class_weights(data.train.y, data.schema.outputs, task.train.balance),
    )
    setup = prepare(recipe, context)
    trainer = setup.trainer
    sizes = {"recipe": recipe.model_dump(), "eps": task.eps.model_dump(), "weights": context.weights}
    key: dict[str, Any] = {"plan": vars(plan), **sizes, "model": model.model_dump(), "data": data.sha256}
    state = checkpoint(task.name, name, key)
    bar = EpochBar(f"harden@{task.name} {name}", plan.epochs)
    history = fit(trainer, trainer.kept, setup.train, setup.robust_validation, plan, checkpoint=state, progress=bar)
    own = recipe.model_dump(exclude={"method", "model", "batch_size", "learning_rate", "train_eps"}, exclude_none=True)
    settings = {
        "training": recipe.method,
        **({"train/eps": recipe.trained_at(task.eps)} if isinstance(recipe, Sized) else {}),
        **{
            f"train/{key}": value if isinstance(value, int | float | str) else str(plain(value))
            for key, value in own.items()
        },
        "model": describe(model, data.schema.outputs),
        "balance": task.train.balance,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "seed": params.seed,
    }
    write_training(task, name, trainer.kept, history, data, settings)
    write_seconds(task.name, name, state)
    return state


if __name__ == "__main__":
    run("harden", work)
