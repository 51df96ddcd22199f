"""A table with a mutable category, from what is declared to what is attacked, certified, served and said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.attacks.core.base import AttackError
from redoubt.bundle.certificates import certified_eps
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.cli import main
from redoubt.core.store import write_json
from redoubt.core.types import Batch, Bounds, Threat
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.defenses.guards.guard import configure
from redoubt.defenses.write_bundle import write_bundle
from redoubt.evaluation.attack_columns import Evaluation
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.certification import certified_guarded, certified_network, checked_network
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.models.networks import build
from redoubt.params.settings.networks import Linear
from redoubt.perturbable import immovable, in_both_norms, in_raw_units
from redoubt.targets.bundle_folder import bounds_of
from serving.guarded import Asked
from tests.support.evaluations import EPS, PARAMS
from tests.support.tiny import GUARDS, NUMBER, SCHEMAS, TABLE, rows

THREAT = Threat("linf", 0.1)
# Trained on nothing: the colour alone is the answer, by a margin that no noise of the guard changes.
COLOUR = np.array([[0.0, 0.0], [0.0, 0.0], [4.0, -4.0], [-4.0, 4.0]], np.float32)


def schema_of(name: str, mutable: bool) -> Schema:
    """That of a tiny table, its colour mutable or not."""
    plain = SCHEMAS[name]
    *numbers, colour = plain.columns
    columns = (*numbers, colour.model_copy(update={"mutable": mutable}))
    return plain.model_copy(update={"columns": columns, "switches": 1 if mutable else None})


class World:
    """A bundle whose answer is the colour, and examples that it answers right."""

    def __init__(self, folder: Path, name: str, mutable: bool) -> None:
        self.schema, self.folder = schema_of(name, mutable), folder
        x = rows(name, 60).x
        self.scaler = fit_scaler(Batch(x, np.zeros(60)), self.schema)
        self.bounds: Bounds = self.scaler.bounds(self.schema)
        self.network = build(Linear(kind="linear"), self.schema, self.scaler, 0)
        out = COLOUR[:, : self.schema.outputs] * (1 if name == TABLE else 100)
        dense = next(layer for layer in self.network.layers if isinstance(layer, keras.layers.Dense))
        kernel = out if dense.get_weights()[0].shape[1] == out.shape[1] else out[:, 1:] - out[:, :1]
        dense.set_weights([kernel, np.zeros(kernel.shape[1], np.float32)])
        config = configure(GUARDS[name], self.schema, self.bounds, 1.0)
        write_bundle(folder, self.network, self.schema, config, x)
        self.model = GuardedModel.load(folder)
        outputs = self.model.network(x)
        self.batch = Batch(x, outputs.argmax(axis=1) if name == TABLE else outputs[:, 0])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], World]:
    made = {mutable: World(tmp_path_factory.mktemp("world") / "champion", TABLE, mutable) for mutable in (True, False)}
    return lambda mutable: made[mutable]


def evaluation(world: World) -> Evaluation:
    from redoubt.attacks.core.criteria import Untargeted

    config = EvaluationConfig(PARAMS, EPS, Untargeted(), world.bounds, 1, EvaluationCache(None))
    return Evaluation(Evaluator(world.network, world.model, config), world.batch, thorough=True)


@pytest.mark.parametrize("mutable", [True, False])
def test_a_model_of_a_category_alone_is_as_robust_as_that_is_immutable(
    world: Callable[[bool], World], mutable: bool
) -> None:
    found, right = evaluation(world(mutable)).run(THREAT), 0.0 if mutable else 1.0
    columns = [found.undefended, found.adaptive, found.certified, found.certified_guarded, found.pgd]
    assert [column.share for column in columns if column is not None] == [right] * 5
    # They have no category to choose: their figures are those of the numbers alone.
    assert found.noise is not None
    assert found.noise.share == 1.0
    assert ("genetic search" in [name for name, _ in found.broken]) == mutable


def test_a_switch_that_is_not_declared_ends_the_run(world: Callable[[bool], World]) -> None:
    switched = evaluation(world(True))
    x_adv = switched.evaluator.attack(_pgd(), switched.evaluator.undefended["linf"], switched.batch, 0.1)
    assert (x_adv[:, 2:] != switched.batch.x[:, 2:]).any(axis=1).all()
    work = evaluation(world(False)).evaluator
    given = EvaluationCache(None)
    given.remember = lambda *_: {"x_adv": x_adv}  # type: ignore[method-assign]
    stale = replace(work, config=replace(work.config, cache=given))
    with pytest.raises(AttackError, match="perturbed an input by inf"):
        stale.attack(_pgd(), stale.undefended["linf"], switched.batch, 0.1)


def _pgd() -> Any:
    from redoubt.attacks.core.gradient import PGD

    return PGD(steps=2)


def test_certificates_are_of_every_category_at_every_eps_but_0(world: Callable[[bool], World]) -> None:
    free, fixed = world(True), world(False)
    for eps, right in ((0.0, True), (0.01, False), (0.5, False)):
        assert (certified_network(free.model, free.batch, eps, None) == right).all()
        assert (certified_guarded(free.model, free.batch, eps, None, 0) == right).all()
        assert (checked_network(free.model, free.batch, eps, None, free.bounds, 0) == right).all()
        assert certified_network(fixed.model, fixed.batch, eps, None).all()


@pytest.mark.parametrize("certify", ["budget", "radius"])
def test_a_served_certificate_is_of_every_category(world: Callable[[bool], World], certify: Any) -> None:
    for mutable in (True, False):
        model, x = world(mutable).model, world(mutable).batch.x[:5]
        sizes = (0.01, 0.2) if certify == "budget" else ()
        said = Asked(model, 0.1, certify, sizes).answer(x, model.guard.draw(np.random.default_rng(0), len(x)))
        assert [bool(row["certified"]["eps"] > 0) for row in said] == [not mutable] * 5
        assert all(each["holds"] is not mutable for row in said for each in row["certified"].get("at", []))
        label = model.network(x).argmax(axis=1)
        assert ((certified_eps(model, x, label, 0, 1.0) > 0) == (not mutable)).all()


def test_of_a_number_the_interval_holds_every_category(tmp_path: Path) -> None:
    free, fixed = World(tmp_path / "free", NUMBER, True), World(tmp_path / "fixed", NUMBER, False)
    x = free.batch.x[:6]
    low, high = free.model.prove_network(x, 0.1).T
    for copy in (x, *free.model.schema.switching.copies(x)):  # type: ignore[union-attr]
        there = free.model.network(copy)[:, 0]
        assert ((low <= there) & (there <= high)).all()
    alone = fixed.model.prove_network(x, 0.1)
    assert ((high - low) > 2 * (alone[:, 1] - alone[:, 0])).all()


def test_of_too_many_records_nothing_is_proven(world: Callable[[bool], World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.bundle.switches.MOST_PROVEN", 0)
    model, batch = world(True).model, world(True).batch
    assert np.isneginf(model.prove_network(batch.x, 0.1)).all()
    assert not certified_guarded(model, batch, 0.1, None, 0).any()
    assert certified_network(model, batch, 0.0, None).all()


def test_what_the_bundle_says_is_what_was_declared(world: Callable[[bool], World]) -> None:
    free, fixed = world(True), world(False)
    said = json.loads((free.folder / "schema.json").read_text())
    assert (said["switches"], [column.get("mutable") for column in said["columns"]]) == (1, [None, None, True])
    assert '"mutable"' not in (fixed.folder / "schema.json").read_text()
    assert "switches" not in (fixed.folder / "schema.json").read_text()
    assert bounds_of(free.model).switches == free.bounds.switches == free.schema.switching
    assert bounds_of(fixed.model).switches is None
    assert in_raw_units(free.schema, free.bounds, "linf", 0.1).endswith("; and colour switched to another category")
    assert "cannot change colour" not in in_both_norms(EPS, free.schema, free.bounds)
    assert "cannot change colour" in in_both_norms(EPS, fixed.schema, fixed.bounds)
    assert immovable(free.batch.x, free.bounds, 0.1, free.schema) is None
    stuck = immovable(fixed.batch.x, fixed.bounds, 0.1, fixed.schema)
    assert stuck is not None
    assert stuck.features == ("colour",)


@pytest.mark.parametrize(
    ("columns", "switches"), [([True], None), ([False], 1), ([True], 2), ([True, True], 0), ([True, True], 3)]
)
def test_a_schema_says_how_many_and_of_which(columns: list[bool], switches: int | None) -> None:
    said: dict[str, Any] = schema_of(TABLE, False).model_dump(mode="json")
    colour = said["columns"].pop()
    said["columns"] += [{**colour, "name": f"c{n}", "mutable": each} for n, each in enumerate(columns)]
    said |= {"shape": [2 + 2 * len(columns)], "switches": switches}
    with pytest.raises(ValueError, match="switches"):
        Schema.model_validate(said)


def test_a_number_is_not_mutable_in_this_sense() -> None:
    said: dict[str, Any] = schema_of(TABLE, True).model_dump(mode="json")
    said["columns"][0]["mutable"] = True
    with pytest.raises(ValueError, match="column 'weight' is mutable; expected that of categories"):
        Schema.model_validate(said)


def test_explain_predict_and_certify_know_of_it(
    world: Callable[[bool], World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, row = str(world(True).folder), {"weight": 1800.0, "age": 0.4, "colour": "red"}
    write_json(tmp_path / "row.json", row)
    assert main(["explain", folder, "row.json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lines = {line["feature"]: line for line in found["features"]}
    assert (lines["colour"]["attacked"], lines["colour"]["changed_to"]) == (True, "green")
    assert [lines[name]["changed_to"] for name in ("weight", "age")] == [None, None]
    np.savez("rows.npz", x=world(True).batch.x, y=world(True).batch.y)
    for method in ("interval", "complete"):
        assert main(["certify", folder, "--data=rows.npz", "--eps=0.1", f"--method={method}", "--json"]) == 0
        shares = json.loads(capsys.readouterr().out)["found"]
        assert (shares["L-inf 0"]["share"], shares["L-inf 0.1"]["share"]) == (1.0, 0.0)
