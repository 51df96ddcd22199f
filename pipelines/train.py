"""Train the selected model on natural data."""

import pipelines._quiet  # noqa: F401
from pipelines._data import load_data
from pipelines._stage import run
from pipelines._training import EpochBar, checkpoint, selected, write_seconds, write_training
from redoubt.models.networks import build
from redoubt.params import Params, Task
from redoubt.training.balance import class_weights
from redoubt.training.determinism import make_deterministic
from redoubt.training.fit import Plan, compile_network, fit, on_rows


def work(params: Params, task: Task) -> None:
    """Read the selection, rows and scaler; write the natural bundle, its learning curve and its record."""
    make_deterministic(params.seed)
    data, choice = load_data(task.name), selected(task.name)
    plan = Plan(
        epochs=task.train.epochs,
        batch_size=choice.batch_size,
        learning_rate=choice.learning_rate,
        patience=task.train.patience,
        decay=task.train.decay,
        seed=params.seed,
    )
    network = build(choice.settings, data.schema, data.scaler, params.seed)
    weights = class_weights(data.train.y, data.schema.outputs, task.train.balance)
    compile_network(network, plan, len(data.train), data.schema.outputs, weights)
    key = {"plan": vars(plan), "model": choice.settings.model_dump(), "data": data.sha256, "weights": weights}
    state = checkpoint(task.name, "natural", key)
    bar = EpochBar(f"train@{task.name}", plan.epochs)
    validate = on_rows(network, data.validation, weights)
    history = fit(network, network, data.train, validate, plan, checkpoint=state, progress=bar)
    if weights:
        # The bundle's arch.json names the loss, and must be readable where this project's classes are not loaded.
        compile_network(network, plan, len(data.train), data.schema.outputs)
    settings = {
        "training": "natural",
        "model": choice.model,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "max_epochs": plan.epochs,
        "patience": task.train.patience,
        "balance": task.train.balance,
        "seed": params.seed,
    }
    write_training(task, "natural", network, history, data, settings)
    write_seconds(task.name, "natural", state)
    state.unlink()


if __name__ == "__main__":
    run("train", work)
