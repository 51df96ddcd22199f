"""Recipes of hardened models, by kind and by task, and the size that each trains at."""

from pathlib import Path

import pytest

from redoubt.params.load import load
from redoubt.params.recipes import HardenParams, Pgd, Sized, Trades, TrainedThreat
from redoubt.params.settings.base import ParamsError
from redoubt.params.settings.sections import HARDENED
from tests.support.params import Write


def test_a_task_overrides_a_recipe_key_by_key(written: Write) -> None:
    before = load(written({"tasks.digits.harden": {}})).task("digits").harden
    own = {
        "adversarial": {"train_eps": 0.07, "also": [{"norm": "l2", "train_eps": 0.5}]},
        "certified": {"natural": [1, 0]},
    }
    after = load(written({"tasks.digits.harden": own})).task("digits").harden
    assert isinstance(before.adversarial, Pgd)
    assert after.adversarial == before.adversarial.model_copy(
        update={"train_eps": 0.07, "also": (TrainedThreat(norm="l2", train_eps=0.5),)}
    )
    assert after.certified == before.certified.model_copy(update={"natural": (1.0, 0.0)})
    assert after.smoothed == before.smoothed


def test_a_recipe_that_names_its_method_stands_alone(written: Write) -> None:
    """Also where it names the same one: nothing of the other recipe is left in it."""
    own = {
        "adversarial": {"method": "pgd", "train_eps": 0.07, "epochs": 3},
        "smoothed": {"method": "gaussian", "sigma": 1.0},
    }
    harden = load(written({"tasks.digits.harden": {"adversarial": own["adversarial"]}})).task("digits").harden
    assert harden.adversarial == Pgd(method="pgd", train_eps=0.07, epochs=3)
    trades = {"method": "trades", "train_eps": 0.07, "epochs": 3}
    harden = load(written({"tasks.digits.harden": {"adversarial": trades}})).task("digits").harden
    assert harden.adversarial == Trades(method="trades", train_eps=0.07, epochs=3)
    with pytest.raises(ParamsError, match="tasks.digits.harden.smoothed.gaussian.epochs: Field required"):
        load(written({"tasks.digits.harden": {"smoothed": own["smoothed"]}}))


def test_one_eps_is_trained_for_attacked_certified_and_reported(written: Write) -> None:
    """Also where it is not among the further points of the curves."""
    task = load(written({"tasks.digits.eps": {"linf": 0.2, "l2": 0.6}})).task("digits")
    harden = task.harden
    assert (harden.adversarial.trained_at(task.eps), harden.certified.trained_at(task.eps)) == (0.2, 0.2)
    assert task.attack.grid("linf", task.eps) == (0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.4)
    assert task.attack.grid("l2", task.eps) == (0.25, 0.5, 0.6, 0.75, 1.0, 1.5)
    assert task.certify.grid(task.eps) == (0.1, 0.25, 0.5, 0.6, 0.75)


def test_a_recipe_that_trains_at_another_size_changes_nothing_else(written: Write) -> None:
    own = {
        "adversarial": {"norm": "l2", "train_eps": 0.3},
        "smoothed": {"method": "smoothadv", "sigma": 1, "epochs": 1},
    }
    task = load(written({"tasks.digits.harden": own})).task("digits")
    assert (task.harden.adversarial.trained_norm, task.harden.adversarial.trained_at(task.eps)) == ("l2", 0.3)
    assert task.harden.smoothed.trained_at(task.eps) == task.eps.l2 == 0.75


# What was trained at when the recipes named it themselves.
TRAINED = {
    "evolution": (0.1, 0.1, None),
    "diagnosis": (0.3, 0.3, None),
    "digits": (0.15, 0.15, None),
    "mnist": (0.3, 0.3, 1.0),
    "mnist_01": (0.13, 0.1, None),
    "fashion_mnist": (0.1, 0.1, None),
    "cifar10": (0.031, 0.031, None),
    "pokemon_cp": (0.1, 0.1, None),
    "types": (0.3, 0.3, None),
}


def test_every_declared_task_trains_as_before(project: Path) -> None:
    found = {
        name: tuple(
            recipe.trained_at(task.eps) if isinstance(recipe, Sized) else None
            for recipe in map(task.harden.recipe, HARDENED)
        )
        for name, task in load(project / "params.yaml").tasks.items()
    }
    assert found == TRAINED


def test_every_hardened_model_has_a_recipe(project: Path) -> None:
    for task in load(project / "params.yaml").tasks.values():
        assert [task.harden.recipe(name) for name in HARDENED] == [
            task.harden.adversarial,
            task.harden.certified,
            task.harden.smoothed,
        ]
        assert task.harden.norm == task.harden.adversarial.norm
    assert set(HARDENED) == set(HardenParams.model_fields)
