"""A value that cannot be used is answered with its key, what it is, and what is expected."""

import re

import pytest
from scipy.stats import binom

from redoubt.params.load import load
from redoubt.params.settings.base import ParamsError
from tests.support.params import Change, Write

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
    "nothing-to-learn-from": (
        {"tasks.types.features": [], "tasks.types.integer": []},
        "tasks.types: features: the list is empty, and so are 'categorical' and 'dates': nothing to learn from",
    ),
    "not-a-key-of-the-file": ({"tasks.types.words_only": True}, "tasks.types: unknown key 'words_only'"),
    "grid-beside-trials": (
        {"tasks.types.sweep": {"trials": 9, "batch_size": [16, 64]}},
        "tasks.types.sweep: 'batch_size' lists points of a grid, .* 'ranges: {batch_size: \\[lowest, highest\\]}'",
    ),
    "models-beside-trials": (
        {"tasks.types.sweep": {"trials": 9, "models": [{"kind": "linear"}]}},
        "tasks.types.sweep: 'models' lists .* say 'ranges: {width: \\[8, 64\\], depth: \\[0, 2\\]}', or no 'trials'",
    ),
    "ranges-without-trials": (
        {"tasks.types.sweep": {"ranges": {"width": [8, 16]}}},
        "tasks.types.sweep: 'ranges' are drawn from by 'trials', which is not there: .* 'trials: 24'",
    ),
    "falling-range": (
        {"tasks.types.sweep": {"trials": 9, "ranges": {"width": [16, 8]}}},
        "tasks.types.sweep.ranges.width: the first number must not be above the second; got \\[16, 8\\]",
    ),
    "mistyped-range": (
        {"tasks.types.sweep": {"trials": 9, "ranges": {"widths": [8, 16]}}},
        "tasks.types.sweep.ranges: unknown key 'widths'; did you mean 'width'",
    ),
    "no-trial": ({"tasks.types.sweep": {"trials": 0}}, "tasks.types.sweep.trials: .*equal to 1; got 0"),
    "trials-of-images": (
        {"tasks.digits.sweep": {"trials": 9}},
        "tasks.digits: sweep.trials draws networks for tables; this task has images: list 'models' instead",
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
        {"harden.image.certified.model": {"kind": "cnn", "filters": [4], "contrast": [[0.7, 0.3]]}},
        "harden.image.certified.model.cnn.contrast.0: the first number must be below the second; got \\[0.7, 0.3\\]",
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
        "tasks.diagnosis: sweep.models.0: a cnn needs images",
    ),
    "hardened-cnn-on-a-table": (
        {"tasks.diagnosis.harden": {"certified": {"model": {"kind": "cnn", "filters": [4]}}}},
        "tasks.diagnosis: harden.certified.model: a cnn needs images",
    ),
    "fewer-rows-than-folds-need": (
        {"tasks.digits.sweep": {"rows": 20}, "tasks.digits.split": {"folds": 3}},
        "tasks.digits: sweep.rows is 20, too few for split.folds 3: say at least 30",
    ),
    "eps-of-255-levels": (
        {"tasks.digits.eps": {"linf": 8}},
        "tasks.digits: eps: a model is trained at L-inf 8, but pixels span 0 to 1: say less than 1, such as 0.0314 for",
    ),
    "train-eps-of-255-levels": (
        {"tasks.digits.harden": {"certified": {"train_eps": 2}}},
        "tasks.digits: eps: a model is trained at L-inf 2, but pixels span 0 to 1",
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


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_value_is_named_with_its_key(written: Write, name: str) -> None:
    change, says = UNUSABLE[name]
    path = written(change)
    with pytest.raises(ParamsError, match=f"^{re.escape(str(path))}: {says}"):
        load(path)


@pytest.mark.parametrize("alpha", [0.4, 0.05, 0.001, 1e-6])
def test_the_fewest_draws_that_are_taken_can_prove_something_of_classes_and_of_numbers(
    written: Write, alpha: float
) -> None:
    def taken(draws: int) -> bool:
        try:
            load(written({"certify.image.draws": draws, "certify.image.alpha": alpha}))
        except ParamsError:
            return False
        return True

    fewest = next(draws for draws in range(1, 100) if binom.cdf(0, draws, 0.5) < alpha / 2)
    assert alpha ** (1 / fewest) > 0.5
    assert taken(fewest)
    assert not any(taken(draws) for draws in {1, fewest // 2, fewest - 1} if 0 < draws < fewest)


def test_an_unquoted_no_is_told_to_take_quotes(written: Write) -> None:
    with pytest.raises(ParamsError, match="target: .* got False; YAML takes no, .* put the word in quotes"):
        load(written({"tasks.diagnosis.target": False}))
