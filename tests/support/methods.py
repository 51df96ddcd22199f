"""Every way to train, set up as the pipeline does it, on tasks so small that a training takes a second."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.core.types import Batch, Norm
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.models.networks import build
from redoubt.params.recipes import Augment, Fast, Free, Gaussian, Ibp, Pgd, SmoothAdv, Trades, TrainedThreat
from redoubt.params.settings.networks import Mlp
from redoubt.params.settings.sections import Eps
from redoubt.training.context import TrainingContext
from redoubt.training.fit import History, Plan, Validate, compile_network, on_rows
from redoubt.training.recipes import plan_for, prepare
from redoubt.training.trainer import Trainer
from redoubt.training.validation import RobustValidation
from tests.support import tiny
from tests.support.tiny import IMAGE, NUMBER, SCHEMAS, TABLE, TOLERANCE, rows

# So far that natural networks give way.
EPS: dict[str, dict[Norm, float]] = {
    IMAGE: {"linf": 0.25, "l2": 1.2},
    TABLE: {"linf": 0.6, "l2": 1.0},
    NUMBER: {"linf": 1.0, "l2": 1.2},
}
SIGMA = {IMAGE: 0.6, TABLE: 0.8, NUMBER: 1.0}
MODELS = tiny.MODELS | {TABLE: Mlp(kind="mlp", units=(16, 16))}
# Eight updates each; after about ninety TensorFlow reorders a graph's work, which must change nothing either.
EPOCHS = 12
AnyRecipe = Pgd | Fast | Free | Trades | Ibp | Gaussian | SmoothAdv


def recipes(task: str) -> dict[str, AnyRecipe]:
    """Every method of params.yaml, and every turn of it that takes another way through the code."""
    sigma = SIGMA[task]
    forgetful = MODELS[task].model_copy(update={"dropout": 0.1})
    normalized = MODELS[task].model_copy(update={"normalize": True})
    moving = Augment(rotation=10.0, scale=0.05, shift=0.1) if task == IMAGE else None
    return {
        "pgd": Pgd(method="pgd", steps=3, epochs=EPOCHS, model=forgetful, augment=moving),
        "two-norms": Pgd(method="pgd", steps=3, epochs=EPOCHS, also=(TrainedThreat(norm="l2"),)),
        "fast": Fast(method="fast", train_eps=0.8 * EPS[task]["linf"] if task == IMAGE else None, epochs=EPOCHS),
        "free": Free(method="free", epochs=2 * EPOCHS, replays=2),
        "trades": Trades(method="trades", norm="l2", steps=3, epochs=EPOCHS),
        "ibp": Ibp(method="ibp", steps=3, epochs=EPOCHS, model=normalized, augment=moving),
        "gaussian": Gaussian(method="gaussian", sigma=sigma, epochs=EPOCHS),
        "averaged": Gaussian(method="gaussian", sigma=sigma, epochs=EPOCHS, average=0.9, model=normalized),
        "consistent": Gaussian(method="gaussian", sigma=sigma, epochs=EPOCHS, consistency=1.0),
        "smoothadv": SmoothAdv(method="smoothadv", sigma=sigma, epochs=EPOCHS),
    }


HARDENINGS = tuple(recipes(IMAGE))
NATURAL = "natural"


@dataclass(frozen=True, eq=False)
class Ready:
    """What `fit` wants."""

    model: keras.Model
    network: keras.Model
    train: Batch
    validate: Validate
    plan: Plan

    @property
    def trainer(self) -> Trainer:
        """The model of a hardening."""
        assert isinstance(self.model, Trainer)
        return self.model

    @property
    def robust_validation(self) -> RobustValidation:
        """What measures a hardening."""
        assert isinstance(self.validate, RobustValidation)
        return self.validate


@dataclass(frozen=True, eq=False)
class Training:
    """One that nothing stopped, and the state that each of its epochs left on disk."""

    ready: Ready
    weights: list[np.ndarray]
    history: History
    states: list[Path]


Trainings = Callable[[str, str], Training]


def context(task: str, recipe: AnyRecipe, seed: int = 4, weights: tuple[float, ...] | None = None) -> TrainingContext:
    """Rows and an untrained network for a recipe."""
    train, validation = rows(task, 256), rows(task, 64, seed=1)
    scaler, schema = fit_scaler(train, SCHEMAS[task]), SCHEMAS[task]
    return TrainingContext(
        network=build(recipe.model or MODELS[task], schema, scaler, seed=1),
        criterion=Untargeted() if schema.labels else Tolerance(TOLERANCE),
        bounds=scaler.bounds(schema).covering(validation.x),
        eps=Eps(**EPS[task]),
        train=train,
        validation=validation,
        plan=plan_for(recipe, batch_size=32, learning_rate=0.02, seed=seed),
        weights=weights,
    )


def hardening(recipe: AnyRecipe, on: TrainingContext) -> Ready:
    """A recipe's trainer."""
    setup = prepare(recipe, on)
    return Ready(setup.trainer, setup.trainer.kept, setup.train, setup.robust_validation, on.plan)


def natural(task: str) -> Ready:
    """No hardening at all."""
    train = rows(task, 256)
    model = MODELS[task].model_copy(update={"dropout": 0.1})
    network = build(model, SCHEMAS[task], fit_scaler(train, SCHEMAS[task]), seed=1)
    plan = Plan(epochs=EPOCHS, batch_size=32, learning_rate=0.02, decay=True, seed=4)
    compile_network(network, plan, len(train), SCHEMAS[task].outputs)
    return Ready(network, network, train, on_rows(network, rows(task, 64, seed=1)), plan)


def start(method: str, task: str) -> Ready:
    """A training about to begin."""
    if method == NATURAL:
        return natural(task)
    recipe = recipes(task)[method]
    return hardening(recipe, context(task, recipe))
