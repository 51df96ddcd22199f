import copy
import re
import shlex
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from redoubt.bundle.types import is_name
from redoubt.params import base, networks, recipes, sections
from redoubt.params import load as loading
from redoubt.params import task as tasks
from redoubt.params.base import ParamsError, Strict
from redoubt.params.load import load
from redoubt.params.networks import Cnn
from redoubt.params.recipes import HardenParams, Pgd, Sized, Threat, Trades
from redoubt.params.sections import HARDENED

Change = dict[str, Any]


@pytest.fixture
def written(project: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """The project's own params.yaml with some keys, named by their path, set to other values."""
    whole = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))

    def write(change: Change) -> Path:
        raw = copy.deepcopy(whole)
        for name, value in change.items():
            *above, last = name.split(".")
            block = raw
            for key in above:
                block = block[key]
            block[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return path

    return write


def test_every_declared_task_loads(project: Path) -> None:
    declared = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["tasks"]
    params = load(project / "params.yaml")
    assert list(params.tasks) == list(declared)
    assert {name: task.kind for name, task in params.tasks.items()} == {n: t["kind"] for n, t in declared.items()}
    assert set(params.run) <= set(declared)


# What is changed -> what the one-line error says after the file's name.
MISTYPED: dict[str, tuple[Change, str]] = {
    "top": ({"sede": 1}, "unknown key 'sede'; did you mean 'seed'?"),
    "kind": ({"train.images": {}}, "train: unknown key 'images'; did you mean 'image'?"),
    "added": ({"train.image.epoch": 5}, "train.image: unknown key 'epoch'; did you mean 'epochs'?"),
    "instead-of-the-right-one": (
        {"train.image": {"epoch": 5, "patience": 3}},
        "train.image: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "nested": (
        {"eps.image": {"linf": 0.15, "l2": 0.75, "linff": 1}},
        "eps.image: unknown key 'linff'; did you mean 'linf'?",
    ),
    "task": ({"tasks.digits.tagret": "x"}, "tasks.digits: unknown key 'tagret'; did you mean 'target'?"),
    "override": (
        {"tasks.digits.harden": {"smoothd": {}}},
        "tasks.digits.harden: unknown key 'smoothd'; did you mean 'smoothed'?",
    ),
    "recipe": (
        {"harden.image.adversarial.epz": 1},
        "harden.image.adversarial.pgd: unknown key 'epz'; did you mean 'steps'?",
    ),
    "recipe-of-one-method": (
        {"harden.image.certified.regularise": 0.1},
        "harden.image.certified: unknown key 'regularise'; did you mean 'regularize'?",
    ),
    "override-of-a-recipe": (
        {"tasks.digits.harden": {"smoothed": {"sigmma": 1}}},
        "tasks.digits.harden.smoothed.gaussian: unknown key 'sigmma'; did you mean 'sigma'?",
    ),
    "key-of-another-method": (
        {"harden.image.adversarial": {"method": "pgd", "epochs": 1, "beta": 4}},
        "harden.image.adversarial.pgd: unknown key 'beta'; valid keys: also, augment, average, batch_size, epochs, "
        "learning_rate, method, model, norm, ramp, steps, train_eps",
    ),
    "model-of-a-recipe": (
        {"harden.image.certified.model": {"kind": "cnn", "filters": [4], "contrst": [0.1, 0.9]}},
        "harden.image.certified.model.cnn: unknown key 'contrst'; did you mean 'contrast'?",
    ),
    "override-of-validate": (
        {"tasks.digits.validate": {"min_row": 3}},
        "tasks.digits.validate: unknown key 'min_row'; did you mean 'min_rows'?",
    ),
    "model": (
        {"sweep.image.models": [{"kind": "cnn", "filter": [4]}]},
        "sweep.image.models.0.cnn: unknown key 'filter'; did you mean 'filters'?",
    ),
    "immutable": (
        {"tasks.evolution.immutable": ["wieght"]},
        "tasks.evolution: immutable: unknown feature 'wieght'; did you mean 'weight'?",
    ),
    "integer-category": (
        {"tasks.evolution.integer": ["species"]},
        "tasks.evolution: integer: unknown feature 'species'; valid features: cp, hp, weight, height",
    ),
    "ranges": (
        {"tasks.evolution.ranges": {"heigth": [0, 1]}},
        "tasks.evolution: ranges: unknown feature 'heigth'; did you mean 'height'?",
    ),
    "guard-of-another-kind": (
        {"guard.classification.median": 2},
        "guard.classification: unknown key 'median'; valid keys: bits, draws, false_positives, noise",
    ),
}

OLD_EPS = (
    "tasks.digits.harden.{}: 'eps' is no longer a key here: a recipe trains at the task's `eps: .* say `train_eps` to"
    " train at another size"
)
UNUSABLE: dict[str, tuple[Change, str]] = {
    "text-for-a-number": ({"split.test": "0.2"}, "split.test: .*valid number; got '0.2'"),
    "float-for-a-count": ({"guard.image.median": 2.5}, "guard.image.median: .*valid integer; got 2.5"),
    "flag-for-a-number": ({"seed": True}, "seed: .*valid integer; got True"),
    "word-for-a-flag": ({"train.image.decay": "yes"}, "train.image.decay: .*valid boolean; got 'yes'"),
    "number-for-a-section": ({"split": 3}, "'split' must hold keys and values, got 3"),
    "number-for-an-override": ({"tasks.digits.train": 3}, "tasks.digits.train must hold keys and values, got 3"),
    "word-for-a-list": ({"run": "digits"}, "run: .*array; got 'digits'"),
    "course-of-no-size": ({"course": "half"}, "course: .*'quick' or 'full'; got 'half'"),
    "number-for-a-study": ({"studies.taylor": 3}, "studies.taylor: .*; got 3"),
    "negative-seed": ({"seed": -1}, "seed: .*greater than or equal to 0; got -1"),
    "no-share": ({"split.test": 0.0}, "split.test: .*greater than 0; got 0.0"),
    "share-above-one": ({"gates.image.clean": 1.5}, "gates.image.clean: .*less than or equal to 1; got 1.5"),
    "nan": ({"gates.image.clean": float("nan")}, "gates.image.clean: .*got nan"),
    "unknown-balance": ({"train.image.balance": "weight"}, "train.image.balance: .*'none' or 'weights'; got 'weight'"),
    "balance-without-classes": (
        {"tasks.evolution.train": {"balance": "weights"}},
        "tasks.evolution: train.balance weighs classes; this task is a regression: leave it out",
    ),
    "nothing-left-to-train-on": (
        {"split.test": 0.6, "split.validation": 0.5},
        "split: test \\+ validation is 1.1; it must be below 1",
    ),
    "falling-eps": (
        {"attack.image.linf": [0.2, 0.1]},
        "attack.image.linf: the numbers must rise strictly; got \\[0.2, 0.1\\]",
    ),
    "eps-of-a-task-0": ({"tasks.digits.eps": {"linf": 0}}, "tasks.digits.eps.linf: .*greater than 0; got 0"),
    "endless-eps": ({"eps.image.l2": float("inf")}, "eps.image.l2: .*finite number; got inf"),
    "one-eps-for-both-norms": ({"tasks.digits.eps": 0.2}, "tasks.digits.eps must hold keys and values, got 0.2"),
    "eps-in-a-recipe": ({"tasks.digits.harden": {"adversarial": {"eps": 0.2}}}, OLD_EPS.format("adversarial.pgd")),
    "eps-in-a-certified-recipe": ({"tasks.digits.harden": {"certified": {"eps": 0.2}}}, OLD_EPS.format("certified")),
    "eps-of-a-further-norm": (
        {"tasks.digits.harden": {"adversarial": {"also": [{"norm": "l2", "eps": 0.5}]}}},
        OLD_EPS.format("adversarial.pgd.also.0"),
    ),
    "budget": (
        {"tasks.digits.attack": {"budget": {"linf": 0.2}}},
        "tasks.digits.attack: 'budget' is no longer a key here: the size that is gated and reported is .* `eps:",
    ),
    "empty-grid": ({"sweep.image.batch_size": []}, "sweep.image.batch_size: .*at least 1 item"),
    "unknown-norm": (
        {"harden.image.adversarial.norm": "l1"},
        "harden.image.adversarial.pgd.norm: .*'linf' or 'l2'; got 'l1'",
    ),
    "unknown-method": (
        {"harden.image.adversarial.method": "pdg"},
        "harden.image.adversarial: .*'pdg' .*'pgd', 'fast', 'free', 'trades'",
    ),
    "unknown-method-for-smoothing": (
        {"harden.image.smoothed.method": "noise"},
        "harden.image.smoothed: .*'noise' .*'gaussian', 'smoothadv'",
    ),
    "adversarial-method-for-certificates": (
        {"harden.image.certified.method": "pgd"},
        "harden.image.certified.method: .*'ibp'; got 'pgd'",
    ),
    "no-method": ({"harden.image.adversarial": {"epochs": 1}}, "harden.image.adversarial: .*'method'"),
    "no-epochs": (
        {"harden.image.adversarial": {"method": "fast"}},
        "harden.image.adversarial.fast.epochs: Field required",
    ),
    "eps-0": (
        {"harden.image.adversarial.train_eps": 0.0},
        "harden.image.adversarial.pgd.train_eps: .*greater than 0; got 0",
    ),
    "eps-0-of-another-threat": (
        {"harden.image.adversarial.also": [{"norm": "l2", "train_eps": 0}]},
        "harden.image.adversarial.pgd.also.0.train_eps: .*greater than 0; got 0",
    ),
    "certified-eps-0": (
        {"harden.image.certified.train_eps": 0},
        "harden.image.certified.train_eps: .*greater than 0; got 0",
    ),
    "sigma-0": ({"harden.image.smoothed.sigma": 0.0}, "harden.image.smoothed.gaussian.sigma: .*greater than 0; got 0"),
    "certify-sigma-0": ({"certify.image.sigma": 0.0}, "certify.image.sigma: .*greater than 0; got 0"),
    "natural-share-above-1": (
        {"harden.image.certified.natural": [0.6, 1.5]},
        "harden.image.certified.natural.1: .*less than or equal to 1; got 1.5",
    ),
    "one-natural-share": (
        {"harden.image.certified.natural": [0.6]},
        "harden.image.certified.natural.1: Field required",
    ),
    "reach-below-1": (
        {"harden.image.certified.reach": 0.9},
        "harden.image.certified.reach: .*greater than or equal to 1; got 0.9",
    ),
    "average-1": (
        {"harden.image.adversarial.average": 1.0},
        "harden.image.adversarial.pgd.average: .*less than 1; got 1",
    ),
    "ramp-above-1": ({"harden.image.certified.ramp": 1.2}, "harden.image.certified.ramp: .*equal to 1; got 1.2"),
    "beta-0": (
        {"harden.image.adversarial": {"method": "trades", "epochs": 1, "beta": 0}},
        "harden.image.adversarial.trades.beta: .*greater than 0; got 0",
    ),
    "all-rows-held-out": (
        {"harden.image.adversarial": {"method": "fast", "epochs": 1, "held_out": 1.0}},
        "harden.image.adversarial.fast.held_out: .*less than 0.5; got 1",
    ),
    "reversed-contrast": (
        {"harden.image.certified.model": {"kind": "cnn", "filters": [4], "contrast": [0.7, 0.3]}},
        "harden.image.certified.model.cnn.contrast: the first number must be below the second; got \\[0.7, 0.3\\]",
    ),
    "draws-that-prove-nothing": (
        {"certify.image.draws": 5},
        "certify.image: draws is 5; with alpha 0.001 even a unanimous vote proves nothing below 11",
    ),
    "draws-just-too-few": ({"certify.image.draws": 10}, "certify.image: draws is 10; with alpha 0.001 .* below 11"),
    "unknown-model": (
        {"sweep.image.models": [{"kind": "cn"}]},
        "sweep.image.models.0: .*'cn' .*'linear', 'mlp', 'cnn'",
    ),
    "unknown-kind": ({"tasks.digits.kind": "picture"}, "tasks.digits.kind must be regression, classification or image"),
    "cnn-on-a-table": (
        {"tasks.diagnosis.sweep": {"models": [{"kind": "cnn", "filters": [4]}]}},
        "tasks.diagnosis: a cnn needs images",
    ),
    "augmented-table": (
        {"tasks.diagnosis.harden": {"adversarial": {"augment": {"rotation": 5}}}},
        "tasks.diagnosis: harden.adversarial: 'augment' moves pictures; this task is a table",
    ),
    "augmented-free": (
        {"tasks.digits.harden": {"adversarial": {"method": "free", "augment": {"rotation": 5}}}},
        "tasks.digits.harden.adversarial.free: unknown key 'augment'",
    ),
    "features-of-an-image": ({"tasks.digits.features": ["a"]}, "tasks.digits: an image task takes no 'features'"),
    "integers-of-an-image": ({"tasks.digits.integer": ["a"]}, "tasks.digits: an image task takes no 'integer'"),
    "ranges-of-an-image": ({"tasks.digits.ranges": {"a": [0, 1]}}, "tasks.digits: an image task takes no 'ranges'"),
    "reversed-range": (
        {"tasks.evolution.ranges": {"hp": [300, 10]}},
        "tasks.evolution.ranges.hp: the first number must be below the second; got \\[300, 10\\]",
    ),
    "range-of-one-end": ({"tasks.evolution.ranges": {"hp": [300]}}, "tasks.evolution.ranges.hp.1: Field required"),
    "open-range": (
        {"tasks.evolution.ranges": {"hp": [10, float("inf")]}},
        "tasks.evolution.ranges.hp.1: .*finite number; got inf",
    ),
    "word-for-ranges": ({"tasks.evolution.ranges": "all"}, "tasks.evolution.ranges: .*object; got 'all'"),
    "all-immutable": (
        {"tasks.evolution.immutable": ["height", "weight", "cp", "hp"]},
        "tasks.evolution: immutable: all of cp, hp, weight, height; leave a number that an attacker can change",
    ),
    "regression-without-tolerance": ({"tasks.evolution.tolerance": None}, "tasks.evolution: .*needs 'tolerance'"),
    "draws-of-a-guard": ({"guard.image.draws": 10**9}, "guard.image.draws: .*equal to 64; got 1000000000"),
    "endless-epochs": ({"train.image.epochs": 10**12}, "train.image.epochs: .*equal to 10000000; got 1000000000000"),
    "widest-layer": (
        {"sweep.image.models": [{"kind": "mlp", "units": [10**9]}]},
        "sweep.image.models.0.mlp.units.0: .*equal to 65536; got 1000000000",
    ),
    "deepest-network": (
        {"sweep.image.models": [{"kind": "mlp", "units": [1] * 17}]},
        "sweep.image.models.0.mlp.units: .*at most 16 items",
    ),
}


@pytest.mark.parametrize("name", MISTYPED)
def test_a_mistyped_key_is_named_with_its_file_and_the_nearest(written: Callable[[Change], Path], name: str) -> None:
    change, says = MISTYPED[name]
    path = written(change)
    with pytest.raises(ParamsError, match=f"^{re.escape(f'{path}: {says}')}$"):
        load(path)


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_value_is_named_with_its_key(written: Callable[[Change], Path], name: str) -> None:
    change, says = UNUSABLE[name]
    path = written(change)
    with pytest.raises(ParamsError, match=f"^{re.escape(str(path))}: {says}"):
        load(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected keys and values, got NoneType"),
        ("- seed", "expected keys and values, got list"),
        ("seed: [", "not valid YAML"),
        ("seed: 1", "missing key 'run'"),
    ],
)
def test_a_file_that_holds_no_params(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError, match=f"params.yaml: {says}"):
        load(tmp_path / "params.yaml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="params.yaml: no such file; run the command in the project's top folder"):
        load(tmp_path / "params.yaml")


def test_an_unknown_task_to_run(written: Callable[[Change], Path]) -> None:
    path = written({"run": ["digitz"]})
    with pytest.raises(ParamsError, match="no task 'digitz'; did you mean 'digits'\\? declared tasks: evolution, "):
        load(path)


def test_a_task_overrides_its_kind_key_by_key(written: Callable[[Change], Path]) -> None:
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


def test_what_binds_an_attacker_is_declared_by_feature(written: Callable[[Change], Path]) -> None:
    declared = {"integer": ["hp"], "immutable": ["height", "species"], "ranges": {"cp": [10, 4000], "hp": [10, 500]}}
    task = load(written({f"tasks.evolution.{option}": value for option, value in declared.items()})).task("evolution")
    assert (task.integer, task.immutable) == (("hp",), ("height", "species"))
    assert task.ranges == {"cp": (10.0, 4000.0), "hp": (10.0, 500.0)}


def test_features_left_to_the_data_are_checked_once_they_are_known(written: Callable[[Change], Path]) -> None:
    task = load(written({"tasks.diagnosis.immutable": ["mean radius"]})).task("diagnosis")
    task.check_declared(("mean radius", "mean texture"))
    with pytest.raises(ValueError, match="immutable: unknown feature 'mean radius'; did you mean 'mean texture'"):
        task.check_declared(("mean texture",))
    with pytest.raises(ValueError, match="immutable: all of mean radius; leave a number"):
        task.check_declared(("mean radius",))


def test_a_model_given_by_a_task_replaces_the_other_whole(written: Callable[[Change], Path]) -> None:
    first, other = {"kind": "cnn", "filters": [4], "units": [8]}, {"kind": "cnn", "filters": [4], "kernel": 5}
    path = written(
        {"harden.image.certified.model": first, "tasks.digits.harden": {"certified": {"model": other}}},
    )
    params = load(path)
    assert params.task("digits").harden.certified.model == Cnn(kind="cnn", filters=(4,), kernel=5)
    assert params.task("cifar10").harden.certified.model == Cnn(kind="cnn", filters=(4,), units=(8,))


def test_a_task_overrides_a_recipe_key_by_key(written: Callable[[Change], Path]) -> None:
    before = load(written({"tasks.digits.harden": {}})).task("digits").harden
    own = {
        "adversarial": {"train_eps": 0.07, "also": [{"norm": "l2", "train_eps": 0.5}]},
        "certified": {"natural": [1, 0]},
    }
    after = load(written({"tasks.digits.harden": own})).task("digits").harden
    assert isinstance(before.adversarial, Pgd)
    assert after.adversarial == before.adversarial.model_copy(
        update={"train_eps": 0.07, "also": (Threat(norm="l2", train_eps=0.5),)}
    )
    assert after.certified == before.certified.model_copy(update={"natural": (1.0, 0.0)})
    assert after.smoothed == before.smoothed


def test_a_recipe_that_names_its_method_stands_alone(written: Callable[[Change], Path]) -> None:
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


def test_one_eps_is_trained_for_attacked_certified_and_reported(written: Callable[[Change], Path]) -> None:
    """Also where it is not among the further points of the curves."""
    task = load(written({"tasks.digits.eps": {"linf": 0.2, "l2": 0.6}})).task("digits")
    harden = task.harden
    assert (harden.adversarial.trained_at(task.eps), harden.certified.trained_at(task.eps)) == (0.2, 0.2)
    assert task.attack.grid("linf", task.eps) == (0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.4)
    assert task.attack.grid("l2", task.eps) == (0.25, 0.5, 0.6, 0.75, 1.0, 1.5)
    assert task.certify.grid(task.eps) == (0.1, 0.25, 0.5, 0.6, 0.75)


def test_a_recipe_that_trains_at_another_size_changes_nothing_else(written: Callable[[Change], Path]) -> None:
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
    "mnist_01": (0.1, 0.1, None),
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


@pytest.mark.parametrize("alpha", [0.4, 0.05, 0.001, 1e-6])
def test_the_fewest_draws_that_are_taken_can_prove_something_of_classes_and_of_numbers(
    written: Callable[[Change], Path], alpha: float
) -> None:
    def taken(draws: int) -> bool:
        try:
            load(written({"certify.image.draws": draws, "certify.image.alpha": alpha}))
        except ParamsError:
            return False
        return True

    fewest = next(draws for draws in range(1, 100) if taken(draws))
    assert alpha ** (1 / fewest) > 0.5
    assert binom.cdf(0, fewest, 0.5) < alpha / 2 <= binom.cdf(0, fewest - 1, 0.5)


NOT_NAMES = [
    *("x; touch pwned #", "../../../out", "a b", "my churn", "churn.v2", ".", "..", "", "-x", "_x", "a/b", "a\\b"),
    *("/tmp/x", "$(touch pwned)", "`id`", "a'b", 'a"b', "a\n", "a\nb", "流失", "café", "a@b", "a:b", "a" * 65),
    *("${seed}", "%s", "\0"),
]


def _raw_load(change: Change, text: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({**text, **change}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    load(path)


@pytest.mark.parametrize("name", NOT_NAMES, ids=ascii)
def test_what_is_no_name_is_refused_by_name(project: Path, tmp_path: Path, name: str) -> None:
    whole = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    for change in (
        {"run": ["digits"], "tasks": {"digits": whole["tasks"]["digits"], name: whole["tasks"]["digits"]}},
        {"run": [name]},
        {"studies": {name: {}}},
    ):
        with pytest.raises(ParamsError) as raised:
            _raw_load(change, whole, tmp_path)
        said = str(raised.value)
        assert "a name is made of the letters a to z, digits, '-' and '_'" in said
        assert f"got {name[:64]!r}"[:20] in said
        assert "\n" not in said


@given(st.text(max_size=80) | st.from_regex(r"[\w./ -]{1,70}", fullmatch=True))
def test_a_name_is_one_word_of_a_path_a_command_and_an_address(text: str) -> None:
    safe = bool(text) and all(each in ascii_letters + digits + "-_" for each in text)
    assert is_name(text) == (safe and len(text) <= 64 and text[0] not in "-_")
    if is_name(text):
        assert (Path("top") / text).resolve().parent == Path("top").resolve()
        assert shlex.split(f"stage {text}") == ["stage", text]
        assert quote(text) == text


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["churn", "Churn"], "'churn' and 'Churn' differ in case alone"),
        (["Studies"], "'Studies' is taken: reports/studies holds the studies"),
        (["sections"], "'sections' is taken: reports/sections holds a page of every task"),
        (["attacks"], "'attacks' is taken: reports/attacks holds what `redoubt attack` writes"),
        (["certificates"], "'certificates' is taken"),
        (["course"], "'course' is taken: MLflow's experiment 'course' holds the studies"),
        ([2024], "YAML reads 2024 as int; put the name in quotes"),
        ([True], "YAML reads True as bool; put the name in quotes"),
    ],
    ids=str,
)
def test_a_name_that_is_anothers_is_refused(project: Path, tmp_path: Path, names: list[Any], says: str) -> None:
    whole = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    tasks = dict.fromkeys(["digits", *names], whole["tasks"]["digits"])
    with pytest.raises(ParamsError, match=re.escape(f"params.yaml: tasks: {says}")):
        _raw_load({"run": ["digits"], "tasks": tasks}, whole, tmp_path)


def test_names_that_look_odd_are_good(written: Callable[[Change], Path], project: Path) -> None:
    block = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["tasks"]["digits"]
    for name in ("own", "index", "2024", "Churn-2024_b", "a" * 64):
        assert load(written({f"tasks.{name}": block, "run": [name]})).task(name).name == name


def test_a_task_named_twice_in_run_is_refused(written: Callable[[Change], Path]) -> None:
    with pytest.raises(ParamsError, match="run names task 'digits' twice"):
        load(written({"run": ["digits", "diagnosis", "digits"]}))


def _fields() -> set[str]:
    modules = (base, networks, sections, recipes, tasks, loading)
    members = chain.from_iterable(vars(module).values() for module in modules)
    types = [each for each in members if isinstance(each, type) and issubclass(each, Strict)]
    return set(chain.from_iterable(each.model_fields for each in types))


def test_no_option_is_dead(project: Path) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in chain((project / "src").rglob("*.py"), (project / "pipelines").glob("*.py"))
    )
    declared = _fields()
    assert {"median", "selection_draws", "max_missing"} <= declared
    # Recipes are read by the name of their model.
    declared -= set(HARDENED)
    assert sorted(name for name in declared if not re.search(rf"\w\.{name}\b", code)) == []


def nested(depth: int) -> str:
    return "seed: " + "[" * depth + "]" * depth


LAUGHS = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TOO_MUCH = {
    "deep-flow": (nested(5000), "line 1: values nested more than 50 deep"),
    "deep-block": ("\n".join(f"{'  ' * i}k:" for i in range(600)), "line 5.: values nested more than 50 deep"),
    "aliases": (LAUGHS, "line 5: more than 100,000 values, aliases written out"),
    "itself": ("a: &a [*a]\n", r"line 1: '\*a' holds itself"),
    "itself-deep": ("a: &a {b: {c: [*a]}}\n", r"line 1: '\*a' holds itself"),
    "long": ("# " + "x" * 2**20, "the file has 1,048,578 bytes, at most 1,048,576 are read"),
    "many": ("a: [" + "1," * 110_000 + "]", "line 1: more than 100,000 values"),
    "digits": ("seed: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
    "no-day": ("seed: 2026-02-31", "not valid YAML: day is out of range"),
    "tag": ("seed: !!python/object/apply:os.getcwd []", "not valid YAML: could not determine a constructor"),
    "latin-1": ("seed: 1 # ö".encode("latin-1"), "not UTF-8: .* at byte 10"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_a_file_that_would_take_too_much_is_refused_before_it_is_built(case: str, tmp_path: Path) -> None:
    content, says = TOO_MUCH[case]
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ParamsError, match=rf"^{re.escape(str(path))}: {says}"):
        load(path)


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_aliases_and_merges_are_for_use(project: Path, tmp_path: Path) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("  diagnosis: ", "  diagnosis: &own", 1)
    text = text.replace("  digits: ", "  again: {<<: *own, target: diagnosis}\n  digits: ", 1)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(path).tasks["again"].source == "breast_cancer"


def test_an_unquoted_no_is_told_to_take_quotes(written: Callable[[Change], Path]) -> None:
    with pytest.raises(ParamsError, match="target: .* got False; YAML takes no, .* put the word in quotes"):
        load(written({"tasks.diagnosis.target": False}))
