"""A mistyped key is answered with its path and the nearest that there is."""

import re

import pytest

from redoubt.params.load import load
from redoubt.params.settings.base import ParamsError
from tests.support.params import Change, Write

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


@pytest.mark.parametrize("name", MISTYPED)
def test_a_mistyped_key_is_named_with_its_file_and_the_nearest(written: Write, name: str) -> None:
    change, says = MISTYPED[name]
    path = written(change)
    with pytest.raises(ParamsError, match=f"^{re.escape(f'{path}: {says}')}$"):
        load(path)
