"""What a task says for itself stands before what its kind says."""

import pytest

from redoubt.params.load import load
from redoubt.params.resolve import settings
from redoubt.params.settings.networks import Cnn, Linear
from redoubt.params.settings.search import Ranges, SearchParams
from redoubt.params.settings.sections import SweepParams
from redoubt.params.settings.stages import SweepSettings
from tests.support.params import Write


def test_a_task_overrides_its_kind_key_by_key(written: Write) -> None:
    before = load(written({}))
    own = {"attack": {"linf": [0.5]}, "eps": {"linf": 0.7}, "split": {"folds": 3}, "validate": {"min_rows": 7}}
    after = load(written({f"tasks.digits.{section}": block for section, block in own.items()}))
    old, new = before.task("digits"), after.task("digits")
    assert (new.attack.linf, new.eps.linf, new.split.folds, new.checks.min_rows) == ((0.5,), 0.7, 3, 7)
    assert new.attack.model_copy(update={"linf": old.attack.linf}) == old.attack
    assert new.eps.l2 == old.eps.l2
    assert new.train == old.train
    assert {n: t for n, t in after.tasks.items() if n != "digits"} == {
        n: t for n, t in before.tasks.items() if n != "digits"
    }


@pytest.mark.parametrize(
    ("train", "weighs"), [({}, "none"), ({"threshold": "balanced"}, "weights"), ({"balance": "weights"}, "weights")]
)
def test_a_baseline_has_the_aim_of_the_networks(written: Write, train: dict[str, str], weighs: str) -> None:
    """It chooses no threshold: its classes weigh alike instead, or it would look worse than it is."""
    assert load(written({"tasks.diagnosis.train": train})).task("diagnosis").train.of_baselines == weighs


def test_what_binds_an_attacker_is_declared_by_feature(written: Write) -> None:
    declared = {"integer": ["hp"], "immutable": ["height", "species"], "ranges": {"cp": [10, 4000], "hp": [10, 500]}}
    task = load(written({f"tasks.evolution.{option}": value for option, value in declared.items()})).task("evolution")
    assert (task.integer, task.immutable) == (("hp",), ("height", "species"))
    assert task.ranges == {"cp": (10.0, 4000.0), "hp": (10.0, 500.0)}


def test_features_left_to_the_data_are_checked_once_they_are_known(written: Write) -> None:
    task = load(written({"tasks.diagnosis.immutable": ["mean radius"]})).task("diagnosis")
    task.check_declared(("mean radius", "mean texture"))
    with pytest.raises(ValueError, match="immutable: unknown feature 'mean radius'; did you mean 'mean texture'"):
        task.check_declared(("mean texture",))
    with pytest.raises(ValueError, match="immutable: all of mean radius; leave a number"):
        task.check_declared(("mean radius",))


def test_a_model_given_by_a_task_replaces_the_other_whole(written: Write) -> None:
    first, other = {"kind": "cnn", "filters": [4], "units": [8]}, {"kind": "cnn", "filters": [4], "kernel": 5}
    path = written(
        {"harden.image.certified.model": first, "tasks.digits.harden": {"certified": {"model": other}}},
    )
    params = load(path)
    assert params.task("digits").harden.certified.model == Cnn(kind="cnn", filters=(4,), kernel=5)
    assert params.task("cifar10").harden.certified.model == Cnn(kind="cnn", filters=(4,), units=(8,))


def test_a_sweep_is_by_lists_or_by_trials(written: Write) -> None:
    """What a task says of the one leaves nothing of the other, whatever its kind says."""
    drawn = {"trials": 12, "ranges": {"depth": [1, 2]}}
    own = load(written({"tasks.types.sweep": drawn}))
    assert own.task("types").sweep == SearchParams(trials=12, ranges=Ranges(depth=(1, 2)), epochs=30)
    assert isinstance(own.task("diagnosis").sweep, SweepParams)
    listed = {"batch_size": [8], "learning_rate": [0.1], "models": [{"kind": "linear"}]}
    kinds = load(written({"sweep.classification": {**drawn, "epochs": 5}, "tasks.types.sweep": listed}))
    assert kinds.task("diagnosis").sweep == SearchParams(trials=12, ranges=Ranges(depth=(1, 2)), epochs=5)
    assert kinds.task("types").sweep == SweepParams(
        batch_size=(8,), learning_rate=(0.1,), models=(Linear(kind="linear"),), epochs=5
    )
    assert settings(SweepSettings, kinds.task("diagnosis"), 1).sweep == kinds.task("diagnosis").sweep
