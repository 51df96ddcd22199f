"""From params.yaml to a trainer, and what makes no sense."""

from dataclasses import replace
from typing import get_args

import keras
import numpy as np
import pytest

from redoubt.certify.interval import IntervalError
from redoubt.core.types import Bounds
from redoubt.params.recipes import AnyRecipe as EveryRecipe
from redoubt.params.recipes import Fast, Gaussian, Ibp, Pgd, SmoothAdv, TrainedThreat
from redoubt.training.fit import Plan
from redoubt.training.methods import METHODS
from redoubt.training.methods.free import FreeTrainer
from redoubt.training.recipes import RecipeError, plan_for, prepare
from tests.support.methods import AnyRecipe, context, recipes
from tests.support.tiny import IMAGE, TABLE


def test_a_recipe_has_the_selections_rate_and_batches_unless_it_has_its_own() -> None:
    recipe = Pgd(method="pgd", train_eps=0.1, epochs=7)
    assert plan_for(recipe, 64, 0.01, 3) == Plan(epochs=7, batch_size=64, learning_rate=0.01, decay=True, seed=3)
    own = recipe.model_copy(update={"batch_size": 16, "learning_rate": 0.5})
    assert plan_for(own, 64, 0.01, 3) == Plan(epochs=7, batch_size=16, learning_rate=0.5, decay=True, seed=3)


@pytest.mark.parametrize(
    ("recipe", "norm", "eps", "judged", "sigma"),
    [
        (Pgd(method="pgd", norm="l2", train_eps=0.3, epochs=1), "l2", 0.3, "pgd", 0.0),
        (Fast(method="fast", train_eps=0.3, epochs=1), "linf", 0.3, "pgd", 0.0),
        (Ibp(method="ibp", train_eps=0.3, epochs=1), "linf", 0.3, "certified", 0.0),
        (Gaussian(method="gaussian", sigma=0.4, epochs=1), "l2", 0.4, "noisy", 0.4),
        (SmoothAdv(method="smoothadv", sigma=0.4, train_eps=0.7, epochs=1), "l2", 0.7, "noisy", 0.4),
    ],
    ids=lambda each: getattr(each, "method", None),
)
def test_epochs_are_judged_where_the_recipe_aims(
    recipe: AnyRecipe, norm: str, eps: float, judged: str, sigma: float
) -> None:
    robust_validation = prepare(recipe, context(IMAGE, recipe)).robust_validation
    assert (
        robust_validation.problem.norm,
        robust_validation.eps,
        robust_validation.judged,
        robust_validation.sigma,
    ) == (norm, eps, judged, sigma)


def test_certified_training_reaches_a_little_further_than_is_certified() -> None:
    recipe = Ibp(method="ibp", train_eps=0.2, reach=1.1, epochs=1)
    setup = prepare(recipe, context(IMAGE, recipe))
    assert setup.trainer.schedule.eps == pytest.approx(0.22)
    assert setup.robust_validation.eps == 0.2


def test_the_average_is_what_is_measured_and_kept() -> None:
    for average in (0.0, 0.9):
        recipe = Pgd(method="pgd", train_eps=0.1, epochs=1, average=average)
        on = context(TABLE, recipe)
        setup = prepare(recipe, on)
        assert setup.robust_validation.network is setup.trainer.kept
        assert (setup.trainer.kept is on.network) == (average == 0)
        x = on.validation.x[:4]
        assert np.array_equal(setup.robust_validation.problem.predict(x), setup.trainer.kept(x))


@pytest.mark.parametrize("method", ["free", "ibp"])
def test_every_kind_of_trainer_averages(method: str) -> None:
    recipe = recipes(TABLE)[method].model_copy(update={"average": 0.9})
    on = context(TABLE, recipe)
    trainer = prepare(recipe, on).trainer
    assert isinstance(trainer, FreeTrainer) == (method == "free")
    assert trainer.average == 0.9
    # Also of weights that the recipe itself has drawn.
    assert all(np.array_equal(a, b) for a, b in zip(trainer.kept.weights, on.network.weights, strict=True))


@pytest.mark.parametrize(("share", "held_out"), [(0.05, 13), (0.4, 102), (0.001, 1)])
def test_one_step_training_keeps_rows_back_to_watch(share: float, held_out: int) -> None:
    recipe = Fast(method="fast", train_eps=0.1, epochs=1, held_out=share)
    on = context(IMAGE, recipe)
    setup = prepare(recipe, on)
    assert setup.robust_validation.held_out is not None
    assert (len(setup.train), len(setup.robust_validation.held_out)) == (256 - held_out, held_out)
    assert np.array_equal(np.concatenate([setup.train.x, setup.robust_validation.held_out.x]), on.train.x)


BOX = Bounds(np.float32([0, 10, 0, 0]), np.float32([4, 50, 1, 1]), np.float32([2.0, 10.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (
            Pgd(method="pgd", train_eps=1.0, epochs=1),
            "eps is 1; it must lie between 0 and the inputs' range, 1 in linf",
        ),
        (
            Fast(method="fast", train_eps=2.5, epochs=1),
            "eps is 2.5; it must lie between 0 and the inputs' range, 1 in linf",
        ),
        (
            Ibp(method="ibp", train_eps=1.25, epochs=1),
            "eps is 1.25; it must lie between 0 and the inputs' range, 1 in linf",
        ),
        (
            Pgd(method="pgd", norm="l2", train_eps=0.5, epochs=1, also=(TrainedThreat(train_eps=1.5),)),
            "eps is 1.5; it must lie between 0 and the inputs' range, 1 in linf",
        ),
        (
            Pgd(method="pgd", norm="l2", train_eps=9.0, epochs=1),
            "eps is 9; it must lie between 0 and the inputs' range, 6 in l2",
        ),
    ],
    ids=["pgd", "fast", "ibp", "also", "l2"],
)
def test_an_eps_as_large_as_the_range_is_refused(recipe: AnyRecipe, says: str) -> None:
    with pytest.raises(RecipeError, match=f"^{says}$"):
        prepare(recipe, context(IMAGE, recipe))


def test_the_range_of_a_table_is_in_units_of_eps() -> None:
    """The widest of 4 / 2 and 40 / 10; what must not change has none."""
    recipe = Pgd(method="pgd", train_eps=3.9, epochs=1)
    prepare(recipe, replace(context(TABLE, recipe), bounds=BOX))
    far = recipe.model_copy(update={"train_eps": 4.0})
    with pytest.raises(RecipeError, match="^eps is 4; it must lie between 0 and the inputs' range, 4 in linf$"):
        prepare(far, replace(context(TABLE, far), bounds=BOX))


def test_certified_training_of_a_layer_without_a_bound_is_refused_before_any_work() -> None:
    recipe = Ibp(method="ibp", train_eps=0.1, epochs=1)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh", name="odd"), keras.layers.Dense(2)])
    before = network.get_weights()
    with pytest.raises(IntervalError, match=r"layer 'odd' \(Dense\) has activation tanh, which has no sound bound"):
        prepare(recipe, replace(context(TABLE, recipe), network=network))
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))


def test_every_method_that_a_recipe_can_name_is_in_the_registry_and_no_other() -> None:
    union, _ = get_args(EveryRecipe)
    tags = [get_args(each.model_fields["method"].annotation) for each in get_args(union)]
    assert list(METHODS) == [name for names in tags for name in names]
