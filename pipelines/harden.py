"""Train the selected model on attacked batches: PGD adversarial training with an eps ramp."""

import pipelines._quiet  # noqa: F401
from pipelines._data import load_data, some_rows
from pipelines._stage import run
from pipelines._training import EpochBar, checkpoint, selected, write_training
from redoubt.attacks.contract import Problem, of_network
from redoubt.attacks.criteria import aim
from redoubt.attacks.gradient import PGD
from redoubt.models.networks import build
from redoubt.params import HardenParams, Params, Task
from redoubt.training.adversarial import AdversarialTrainer, on_attacked_rows, ramp_for
from redoubt.training.fit import Plan, compile_network, fit
from redoubt.training.setup import make_deterministic
from redoubt.training.sweep import Selected, describe

VALIDATED = 1000


def work(params: Params, task: Task) -> None:
    """Read the selection, rows and scaler; write the adversarial bundle, its learning curve and its record."""
    make_deterministic(params.seed)
    data, choice, harden = load_data(task.name), _replaced(selected(task.name), task.harden), task.harden
    plan = Plan(
        epochs=harden.epochs,
        batch_size=choice.batch_size,
        learning_rate=choice.learning_rate,
        decay=True,
        seed=params.seed,
    )
    network = build(choice.settings, data.schema, data.scaler, params.seed)
    problem = Problem(of_network(network), aim(task), harden.norm, data.bounds.covering(data.validation.x))
    ramp = ramp_for(harden.eps, harden.ramp, plan.epochs, len(data.train), plan.batch_size)
    attack = PGD(steps=harden.steps)
    trainer = AdversarialTrainer(network, problem, attack, ramp, plan.seed)
    validate = on_attacked_rows(network, problem, attack, harden.eps, some_rows(data.validation, VALIDATED))
    compile_network(trainer, plan, len(data.train), data.schema.outputs)
    state = checkpoint(
        task.name,
        "adversarial",
        {"plan": vars(plan), "harden": harden.model_dump(), "model": choice.settings.model_dump(), "data": data.sha256},
    )
    bar = EpochBar(f"harden@{task.name}", plan.epochs)
    history = fit(trainer, network, data.train, validate, plan, checkpoint=state, progress=bar)
    settings = {
        "training": f"PGD-{harden.steps}",
        "train_norm": harden.norm,
        "train_eps": harden.eps,
        "ramp": harden.ramp,
        "model": describe(choice.settings, data.schema.outputs),
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "max_epochs": plan.epochs,
        "seed": params.seed,
    }
    write_training(task, "adversarial", network, history, data, settings)


def _replaced(choice: Selected, harden: HardenParams) -> Selected:
    own = {"settings": harden.model, "batch_size": harden.batch_size, "learning_rate": harden.learning_rate}
    return choice.model_copy(update={key: value for key, value in own.items() if value is not None})


if __name__ == "__main__":
    run("harden", work)
