"""One contract for all attacks, and the scorer that trusts none of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack, GradientAttack, check_result
from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.attacks.core.geometry import distance
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackError, AttackProblem, of_network
from redoubt.bundle.schema import Schema
from redoubt.core.types import Bounds, Floats, Norm
from redoubt.data import sources
from redoubt.data.prepare import scaling
from redoubt.data.shared import dataset
from redoubt.params.load import load
from tests.support.threats import ATTACKS, NORMS, Threat
from tests.support.tiny import IMAGE, NUMBER, TABLE

sizes = st.sampled_from([1e-6, 1e-3]) | st.floats(0.01, 3.0)


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=5)
@given(eps=sizes, seed=st.integers(0, 2**40), count=st.integers(1, 64))
def test_every_attack_keeps_the_contract(threat: Threat, name: str, eps: float, seed: int, count: int) -> None:
    x, y, bounds = threat.case.test.x[:count], threat.case.test.y[:count], threat.problem.bounds
    before = x.copy()
    x_adv = ATTACKS[name](threat.problem, x, y, eps=eps, seed=seed)
    assert (x_adv.shape, x_adv.dtype) == (x.shape, np.float32)
    assert np.array_equal(x, before), "the inputs were changed in place"
    assert np.isfinite(x_adv).all()
    assert np.all((x_adv >= bounds.lower) & (x_adv <= bounds.upper))
    fixed = np.broadcast_to(bounds.scale, x.shape) == 0
    assert np.array_equal(x_adv[fixed], x[fixed])
    # Beside eps, what float32 loses where a raw value of thousands is moved.
    coarse = 1e-6 * np.abs(x) / np.where(fixed, 1, np.broadcast_to(bounds.scale, x.shape))
    assert np.all(distance(x_adv - x, threat.problem.norm, bounds) <= eps * (1 + 1e-5) + 2 * coarse.max())
    assert np.array_equal(x_adv, ATTACKS[name](threat.problem, x, y, eps=eps, seed=seed))


@pytest.mark.parametrize("name", ATTACKS)
def test_eps_0_changes_nothing(threat: Threat, name: str) -> None:
    x, y = threat.case.test.x, threat.case.test.y
    assert np.array_equal(ATTACKS[name](threat.problem, x, y, eps=0.0, seed=1), x)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_rows_no_error(threat: Threat, name: str) -> None:
    x, y = threat.case.test.x[:0], threat.case.test.y[:0]
    assert ATTACKS[name](threat.problem, x, y, eps=0.1, seed=1).shape == x.shape


@pytest.mark.parametrize(
    ("attack", "chance"),
    [
        (ATTACKS["noise"], True),
        (PGD(steps=1, step_size=0.1), True),
        (ATTACKS["pgd-from-the-input"], False),
        (ATTACKS["fgsm"], False),
    ],
    ids=str,
)
def test_the_seed_matters_where_chance_is_at_work(threat: Threat, attack: Attack, chance: bool) -> None:
    x, y = threat.case.test.x, threat.case.test.y
    one, other = (attack(threat.problem, x, y, eps=0.1, seed=seed) for seed in (1, 2))
    assert np.array_equal(one, other) != chance


def test_a_model_of_chance_draws_anew_for_every_seed_step_and_batch() -> None:
    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Which way is up depends on the draw alone."""
        z = tf.reduce_sum(x * tf.random.stateless_normal((1, 5), seed), axis=1, keepdims=True)
        return tf.concat([z, -z], axis=1)

    wide = Bounds(np.float32(-9), np.float32(9), np.float32(1))
    problem, x, y = AttackProblem(outputs, Untargeted(), "l2", wide), np.zeros((300, 5), np.float32), np.zeros(300, int)

    def change(steps: int, seed: int) -> Floats:
        return PGD(steps=steps, step_size=0.1, random_start=False)(problem, x, y, eps=1.0, seed=seed) - x

    assert np.array_equal(change(1, seed=1), change(1, seed=1))
    assert not np.allclose(change(1, seed=1), change(1, seed=2))
    assert not np.allclose(change(1, seed=1)[0], change(1, seed=1)[-1]), "both batches met the same draw"
    assert not np.allclose(change(2, seed=1), 2 * change(1, seed=1), atol=1e-4), "both steps met the same draw"


def test_a_row_is_attacked_the_same_in_any_company(threat: Threat) -> None:
    """More rows than one batch holds, and each as if it were alone."""
    x, y = np.repeat(threat.case.test.x, 5, axis=0), np.repeat(threat.case.test.y, 5, axis=0)
    together = ATTACKS["pgd-from-the-input"](threat.problem, x, y, eps=0.1, seed=0)
    alone = ATTACKS["pgd-from-the-input"](threat.problem, x[-5:], y[-5:], eps=0.1, seed=0)
    assert len(x) > 256
    assert np.allclose(together[-5:], alone, rtol=1e-4)


@pytest.fixture(scope="module")
def pictures(threats: Callable[..., Threat]) -> Threat:
    return threats(IMAGE, "linf")


ATTACK = PGD(steps=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"eps": -0.1}, "eps is -0.1; it must be >= 0"),
        ({"eps": float("nan")}, "eps is nan; it must be >= 0"),
        ({"eps": float("inf")}, "eps is inf; it must be .*finite"),
        ({"y": np.zeros(3, np.int64)}, "64 inputs came with 3 labels"),
        ({"y": np.zeros((64, 1), np.int64)}, r"the labels have shape \(64, 1\); expected \(64,\): pass y\[:, 0\]"),
        ({"x": np.full((64, 6, 6, 1), np.nan, np.float32)}, "cannot be attacked: inputs hold NaN"),
        ({"x": np.full((64, 6, 6, 1), 255, np.float32)}, "cannot be attacked: .*outside their bounds"),
        ({"x": np.zeros((64, 5, 6, 1), np.float32)}, "the inputs cannot be attacked: "),
        ({"y": np.full(64, 3, np.int64)}, "labels span 3..3; the model has classes 0..2"),
        ({"y": np.full(64, -1, np.int64)}, "labels span -1..-1"),
    ],
    ids=[
        "eps-negative",
        "eps-nan",
        "eps-infinite",
        "lengths",
        "columns",
        "nan",
        "bounds",
        "shape",
        "label-high",
        "label-low",
    ],
)
def test_what_cannot_be_attacked_is_refused(pictures: Threat, change: dict[str, Any], says: str) -> None:
    given_ = {"x": pictures.case.test.x, "y": pictures.case.test.y, "eps": 0.1, **change}
    with pytest.raises(AttackError, match=says):
        ATTACK(pictures.problem, given_["x"], given_["y"], eps=given_["eps"], seed=0)


Outputs = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def odd(threat: Threat, outputs: Callable[[tf.Tensor], tf.Tensor], **change: Any) -> AttackProblem:
    network = of_network(threat.case.network)
    settings_ = {"criterion": Untargeted(), "norm": threat.problem.norm, "bounds": threat.problem.bounds, **change}
    return AttackProblem(lambda x, seed: outputs(network(x, seed)), **settings_)


def test_probabilities_are_refused(pictures: Threat) -> None:
    with pytest.raises(
        AttackError, match="probabilities \\(they sum to 1\\); attack the logits: drop the last softmax"
    ):
        ATTACK(odd(pictures, tf.nn.softmax), pictures.case.test.x, pictures.case.test.y, eps=0.1, seed=0)


def test_a_model_that_answers_nan_is_refused(pictures: Threat) -> None:
    with pytest.raises(AttackError, match="the model outputs NaN or infinity"):
        ATTACK(odd(pictures, lambda z: z / 0.0), pictures.case.test.x, pictures.case.test.y, eps=0.1, seed=0)


def test_values_may_sum_to_one_and_be_of_any_size(pictures: Threat) -> None:
    """What is odd of classes is not of numbers."""
    problem = odd(pictures, lambda z: 0.0 * z[:, :1] + 1.0, criterion=Tolerance(0.5))
    y = np.full(64, 900.0, np.float32)
    assert ATTACK(problem, pictures.case.test.x, y, eps=0.1, seed=0).shape == pictures.case.test.x.shape


@dataclass(frozen=True)
class Cheat(GradientAttack):
    """Adds a number to the first input of every row, whatever the rules say."""

    change: float
    column: int = 0

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        mask = np.zeros(x.shape[1:], np.float32)
        mask.reshape(-1)[self.column] = self.change
        return x + mask


# Columns of the table: weight (spread of a thousand), age (spread of a third), then a category in two inputs.
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("name", "cheat", "says"),
    [
        (IMAGE, Cheat(0.2), "perturbed an input by 0.2 .*allowed is eps = 0.1"),
        (IMAGE, Cheat(-3.0), "left the bounds: inputs span"),
        (IMAGE, Cheat(float("nan")), "left the bounds: inputs hold NaN"),
        (TABLE, Cheat(150.0, column=0), "perturbed an input by 0.1.*allowed is eps = 0.1"),
        (TABLE, Cheat(0.035, column=1), "perturbed an input by 0.1.*allowed is eps = 0.1"),
        (TABLE, Cheat(1e-4, column=3), "perturbed an input by inf .*allowed is eps = 0.1"),
    ],
    ids=["far", "outside", "nan", "far-in-a-large-unit", "far-in-a-small-unit", "category"],
)
def test_a_cheating_attack_is_caught(
    threats: Callable[..., Threat], norm: str, name: str, cheat: Cheat, says: str
) -> None:
    threat = threats(name, norm)
    x = threat.case.test.x[:8]
    middle = np.clip(x, np.quantile(threat.case.test.x, 0.3, axis=0), np.quantile(threat.case.test.x, 0.7, axis=0))
    x = np.where(np.broadcast_to(threat.problem.bounds.scale, x.shape) > 0, middle, x).astype(np.float32)
    wide = Bounds(threat.problem.bounds.lower, threat.problem.bounds.upper + 1, threat.problem.bounds.scale)
    problem = AttackProblem(threat.problem.outputs, threat.problem.criterion, threat.problem.norm, wide)
    with pytest.raises(AttackError, match=says):
        cheat(problem, x, threat.case.test.y[:8], eps=0.1, seed=0)


@dataclass(frozen=True)
class Cut(GradientAttack):
    """Loses a row on the way."""

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        return x[1:]


def test_a_lost_row_is_caught(threat: Threat) -> None:
    with pytest.raises(AttackError, match=r"the attack returned shape \(63, .*for inputs of shape \(64, "):
        Cut()(threat.problem, threat.case.test.x, threat.case.test.y, eps=0.1, seed=0)


def test_units_as_far_apart_as_a_real_tables_hide_no_cheat() -> None:
    """Of the breast cancer set, the largest value is 4254 and the smallest spread 0.0026."""
    bounds = Bounds(np.zeros(2, np.float32), np.float32([5000, 0.1]), np.float32([500, 0.0026]))
    problem = AttackProblem(lambda x, seed: x, Untargeted(), "linf", bounds)
    x: NDArray[np.float32] = np.float32([[4254, 0.02]])
    check_result(x, x + np.float32([0.3 * 500, 0.3 * 0.0026]), problem, eps=0.3)
    with pytest.raises(AttackError, match=r"perturbed an input by 0\.(59|60)"):
        check_result(x, x + np.float32([0, 0.6 * 0.0026]), problem, eps=0.3)


def test_a_row_outside_its_ball_by_rounding_alone_is_no_cheat() -> None:
    bounds = Bounds(np.zeros(1, np.float32), np.float32([1e7]), np.float32([1.0]))
    x: Floats = np.float32([[9_999_998.0]])
    check_result(x, x + 1, AttackProblem(lambda x, seed: x, Untargeted(), "l2", bounds), eps=0.5)


@dataclass(frozen=True, eq=False)
class Bound:
    """A tiny table whose attacker is bound: weight is whole and has limits, age is immutable."""

    schema: Schema
    problem: AttackProblem
    x: Floats
    y: NDArray[Any]


# The pairs of a table and a norm that `threat` leaves out.
@pytest.fixture(scope="module", params=[(TABLE, "linf"), (NUMBER, "l2")], ids="-".join)
def bound(request: pytest.FixtureRequest, threats: Callable[[str, Norm], Threat]) -> Bound:
    case, problem = threats(*request.param).case, threats(*request.param).problem
    weight, age, colour = case.schema.columns
    weight = weight.model_copy(update={"kind": "integer", "limits": (490.0, 4100.0)})
    columns = (weight, age.model_copy(update={"immutable": True}), colour)
    schema, x = case.schema.model_copy(update={"columns": columns}), case.test.x.copy()
    x[:, 0] = np.round(x[:, 0])
    bounds = case.scaler.bounds(schema).covering(x)
    return Bound(schema, replace(problem, bounds=bounds, compiled={}), x, case.test.y)


def records(schema: Schema, x: Floats) -> list[dict[str, Any]]:
    """Network inputs as the records that somebody would have to send."""
    found = []
    for row in x.tolist():
        values, record = iter(row), {}
        for column in schema.columns:
            cells = [next(values) for _ in range(column.inputs)]
            record[column.name] = column.categories[int(np.argmax(cells))] if column.categories else cells[0]
        found.append(record)
    return found


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=4)
@given(eps=sizes, seed=st.integers(0, 2**40))
def test_every_attack_on_a_table_makes_real_records(bound: Bound, name: str, eps: float, seed: int) -> None:
    x_adv = ATTACKS[name](bound.problem, bound.x, bound.y, eps=eps, seed=seed)
    assert np.all(x_adv[:, 0] % 1 == 0)
    assert np.all((x_adv[:, 0] >= 490) & (x_adv[:, 0] <= 4100))
    assert np.array_equal(x_adv[:, 1:], bound.x[:, 1:])
    reach = eps * bound.problem.bounds.scale[0]
    assert np.all(np.abs(x_adv[:, 0] - bound.x[:, 0]) <= reach * (1 + 1e-5) + 2e-3)
    assert np.array_equal(bound.schema.encode(records(bound.schema, x_adv)), x_adv), "the service would refuse it"


def test_what_is_bound_is_still_attacked(bound: Bound) -> None:
    """As far as the whole numbers within reach allow: against one movable input the last of them is the best."""
    x_adv = PGD(steps=10)(bound.problem, bound.x, bound.y, eps=0.5, seed=0)
    reach = np.floor(0.5 * bound.problem.bounds.scale[0])
    assert np.median(np.abs(x_adv[:, 0] - bound.x[:, 0])) == pytest.approx(reach, abs=1)
    adversarial = bound.problem.criterion.is_adversarial
    before, after = (adversarial(bound.problem.predict(rows), bound.y).mean() for rows in (bound.x, x_adv))
    assert after > before + 0.1
    less = PGD(steps=10)(bound.problem, bound.x, bound.y, eps=0.9 / bound.problem.bounds.scale[0], seed=0)
    assert np.array_equal(less, bound.x), "no other whole number is within reach"


def test_a_fraction_is_rounded_by_the_attack_and_refused_of_anybody_else(bound: Bound) -> None:
    x, y = bound.x[:8], bound.y[:8]
    x_adv = Cheat(17.3)(bound.problem, x, y, eps=1.0, seed=0)
    assert np.array_equal(x_adv[:, 0], x[:, 0] + 17)
    fraction = x + np.float32([17.25, 0, 0, 0])
    with pytest.raises(AttackError, match=rf"made an integer input {fraction[0, 0]}; it must stay a whole number"):
        check_result(x, fraction, bound.problem, eps=1.0)
    check_result(fraction, fraction, bound.problem, eps=0.0)
    with pytest.raises(AttackError, match="perturbed an input by inf"):
        Cheat(1e-3, column=1)(bound.problem, x, y, eps=1.0, seed=0)


def test_a_lost_row_of_whole_numbers_is_caught(bound: Bound) -> None:
    with pytest.raises(AttackError, match=r"the attack returned shape \(63, 4\) for inputs of shape \(64, 4\)"):
        Cut()(bound.problem, bound.x, bound.y, eps=0.1, seed=0)


def test_from_params_to_attacked_records(project: Path, tmp_path: Path) -> None:
    """What a task declares binds the attacker at the far end."""
    rng = np.random.default_rng(0)
    columns = {"age": rng.integers(20, 60, 200), "visits": rng.integers(0, 9, 200), "spend": rng.uniform(0, 50, 200)}
    table = pd.DataFrame(columns).assign(plan=rng.choice(["a", "b"], 200))
    table.assign(stays=np.where(table["visits"] + table["spend"] > 29, "yes", "no")).to_csv(tmp_path / "own.csv")
    raw = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    own = {"kind": "classification", "source": str(tmp_path / "own.csv"), "target": "stays", "categorical": ["plan"]}
    declared = {"integer": ["age", "visits"], "immutable": ["age"], "ranges": {"visits": [0, 99]}}
    raw["tasks"]["shop"] = {**own, "features": ["age", "visits", "spend"], **declared}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")

    dataset.save(tmp_path / "raw", sources.fetch(load(tmp_path / "params.yaml").task("shop"), seed=1))
    stored = dataset.load(tmp_path / "raw")
    batch, schema = stored.batch, stored.schema
    bounds = scaling.fit(batch, schema).bounds(schema)
    slope = tf.constant([[1.0], [1.0], [1.0], [5.0], [-5.0]])
    problem = AttackProblem(lambda x, _: tf.concat([29 - x @ slope, x @ slope - 29], 1), Untargeted(), "linf", bounds)
    x_adv = PGD(steps=10)(problem, batch.x, batch.y, eps=2.0, seed=0)

    change = x_adv - batch.x
    assert np.all(change[:, [0, 3, 4]] == 0), "an immutable feature or a category changed"
    assert np.all(change[:, 1] % 1 == 0)
    assert x_adv[:, 1].max() > 8 > 0 == x_adv[:, 1].min(), "the declared range, not the training rows' own"
    assert 0 <= x_adv[:, 2].min() < x_adv[:, 2].max() <= table["spend"].max() + 1e-4
    assert np.array_equal(schema.encode(records(schema, x_adv)), x_adv)
