"""Train the selected model on natural data."""

import pipelines._quiet  # noqa: F401
from pipelines._data import load_data
from pipelines._stage import run
from pipelines._training import THREADS, EpochBar, checkpoint, selected, write_seconds, write_training
from redoubt.models.networks import build
from redoubt.params.settings.stages import TrainSettings
from redoubt.training.balance import class_weights
from redoubt.training.determinism import make_deterministic
from redoubt.training.fit import Plan, compile_network, fit, on_rows


def work(settings: TrainSettings) -> None:
    """Read the selection, rows and scaler; write the natural bundle, its learning curve and its record."""
    make_deterministic(settings.seed, THREADS)
    data, choice = load_data(settings.name), selected(settings.name)
    plan = Plan(
        epochs=settings.train.epochs,
        batch_size=choice.batch_size,
        learning_rate=choice.learning_rate,
        patience=settings.train.patience,
        decay=settings.train.decay,
        seed=settings.seed,
    )
    network = build(choice.settings, data.schema, data.scaler, settings.seed)
    weights = class_weights(data.train.y, data.schema.outputs, settings.train.balance)
    compile_network(network, plan, len(data.train), data.schema.outputs, weights)
    key = {"plan": vars(plan), "model": choice.settings.model_dump(), "data": data.sha256, "weights": weights}
    state = checkpoint(settings.name, "natural", key)
    bar = EpochBar(f"train@{settings.name}", plan.epochs)
    validate = on_rows(network, data.validation, weights)
    history = fit(network, network, data.train, validate, plan, checkpoint=state, progress=bar)
    if weights:
        # The bundle's arch.json names the loss, and must be readable where this project's classes are not loaded.
        compile_network(network, plan, len(data.train), data.schema.outputs)
    noted = {
        "training": "natural",
        "model": choice.model,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "max_epochs": plan.epochs,
        "patience": settings.train.patience,
        "balance": settings.train.balance,
        "seed": settings.seed,
    }
    write_training(settings, "natural", network, history, data, noted)
    write_seconds(settings.name, "natural", state)
    state.unlink()


if __name__ == "__main__":
    run("train", TrainSettings, work)
