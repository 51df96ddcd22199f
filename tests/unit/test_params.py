import copy
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from redoubt import params as module
from redoubt.params import Cnn, ParamsError, Strict, load

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
        {"attack.image.budget": {"linf": 0.15, "l2": 0.75, "linff": 1}},
        "attack.image.budget: unknown key 'linff'; did you mean 'linf'?",
    ),
    "task": ({"tasks.digits.tagret": "x"}, "tasks.digits: unknown key 'tagret'; did you mean 'target'?"),
    "override": ({"tasks.digits.harden": {"epz": 1}}, "tasks.digits.harden: unknown key 'epz'; did you mean 'eps'?"),
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

UNUSABLE: dict[str, tuple[Change, str]] = {
    "text-for-a-number": ({"split.test": "0.2"}, "split.test: .*valid number; got '0.2'"),
    "float-for-a-count": ({"guard.image.median": 2.5}, "guard.image.median: .*valid integer; got 2.5"),
    "flag-for-a-number": ({"seed": True}, "seed: .*valid integer; got True"),
    "word-for-a-flag": ({"train.image.decay": "yes"}, "train.image.decay: .*valid boolean; got 'yes'"),
    "number-for-a-section": ({"split": 3}, "'split' must hold keys and values, got 3"),
    "number-for-an-override": ({"tasks.digits.train": 3}, "tasks.digits.train must hold keys and values, got 3"),
    "word-for-a-list": ({"run": "digits"}, "run: .*array; got 'digits'"),
    "negative-seed": ({"seed": -1}, "seed: .*greater than or equal to 0; got -1"),
    "no-share": ({"split.test": 0.0}, "split.test: .*greater than 0; got 0.0"),
    "share-above-one": ({"gates.image.clean": 1.5}, "gates.image.clean: .*less than or equal to 1; got 1.5"),
    "nan": ({"gates.image.clean": float("nan")}, "gates.image.clean: .*got nan"),
    "nothing-left-to-train-on": (
        {"split.test": 0.6, "split.validation": 0.5},
        "split: test \\+ validation is 1.1; it must be below 1",
    ),
    "budget-off-the-curve": (
        {"attack.image.budget.linf": 0.2},
        "attack.image: budget.linf is 0.2, which is not among linf",
    ),
    "falling-eps": ({"attack.image.linf": [0.2, 0.1]}, "attack.image: linf must rise strictly; got \\[0.2, 0.1\\]"),
    "empty-grid": ({"sweep.image.batch_size": []}, "sweep.image.batch_size: .*at least 1 item"),
    "unknown-norm": ({"harden.image.norm": "l1"}, "harden.image.norm: .*'linf' or 'l2'; got 'l1'"),
    "unknown-model": (
        {"sweep.image.models": [{"kind": "cn"}]},
        "sweep.image.models.0: .*'cn' .*'linear', 'mlp', 'cnn'",
    ),
    "unknown-kind": ({"tasks.digits.kind": "picture"}, "tasks.digits.kind must be regression, classification or image"),
    "cnn-on-a-table": (
        {"tasks.diagnosis.sweep": {"models": [{"kind": "cnn", "filters": [4]}]}},
        "tasks.diagnosis: a cnn needs images",
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
    own = {"attack": {"linf": [0.5], "budget": {"linf": 0.5}}, "split": {"folds": 3}, "validate": {"min_rows": 7}}
    after = load(written({f"tasks.digits.{section}": block for section, block in own.items()}))
    old, new = before.task("digits"), after.task("digits")
    assert (new.attack.linf, new.attack.budget.linf, new.split.folds, new.checks.min_rows) == ((0.5,), 0.5, 3, 7)
    assert new.attack.model_copy(update={"linf": old.attack.linf, "budget": old.attack.budget}) == old.attack
    assert new.attack.budget.l2 == old.attack.budget.l2
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
    other = {"kind": "cnn", "filters": [4], "kernel": 5}
    first = load(written({"tasks.digits.harden": {"model": other}})).task("digits").harden.model
    assert first == Cnn(kind="cnn", filters=(4,), kernel=5)


def _fields() -> set[str]:
    sections = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Strict)]
    return set(chain.from_iterable(section.model_fields for section in sections))


def test_no_option_is_dead(project: Path) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in chain((project / "src").rglob("*.py"), (project / "pipelines").glob("*.py"))
    )
    declared = _fields()
    assert {"median", "selection_draws", "max_missing"} <= declared
    assert sorted(name for name in declared if not re.search(rf"\w\.{name}\b", code)) == []
