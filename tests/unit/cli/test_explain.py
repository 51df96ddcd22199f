"""`redoubt explain`: the nearest change of one row's answer, feature by feature, each claim asked of the network."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.cli import main
from redoubt.cli.explain import Asked
from redoubt.core.store import write_json
from redoubt.core.types import Bounds
from tests.support import tiny
from tests.support.tiny import IMAGE, NUMBER, TABLE, TOLERANCE

ROW = {"weight": 1800.0, "age": 0.4, "colour": "red"}


@pytest.fixture
def served(
    bundles: Callable[[str], tiny.Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], GuardedModel]:
    """A tiny task's bundle as a champion of a project, and a row beside it."""
    monkeypatch.chdir(tmp_path)
    write_json(Path("row.json"), ROW)

    def put(name: str) -> GuardedModel:
        champion = Path("models", name, "champion")
        shutil.copytree(bundles(name).folder, champion)
        write_json(champion / "card.json", {"eps": 0.01})
        return GuardedModel.load(champion)

    return put


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["explain", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(("name", "norm", "more"), [(TABLE, "linf", []), (NUMBER, "l2", [f"--tolerance={TOLERANCE}"])])
def test_every_change_that_is_named_changes_the_answer_and_a_little_less_does_not(
    served: Callable[[str], GuardedModel], capsys: pytest.CaptureFixture[str], name: str, norm: str, more: list[str]
) -> None:
    model = served(name)
    found = explained(capsys, name, "row.json", f"--norm={norm}", *more)

    def answer(changes: dict[str, Any]) -> Any:
        outputs = model.network(model.schema.encode([{**ROW, **changes}]))
        return model.schema.labels[outputs[0].argmax()] if model.schema.is_classification else float(outputs[0, 0])

    def differs(changes: dict[str, Any]) -> bool:
        now = answer(changes)
        return now != found["network"] if model.schema.is_classification else abs(now - found["network"]) > TOLERANCE

    lines = {line["feature"]: line for line in found["features"]}
    assert set(lines) == set(ROW)
    moves = {name: line["changed_to"] for name, line in lines.items() if line["changed_to"] is not None}
    assert "colour" not in moves
    assert differs(moves)
    assert answer(moves) == pytest.approx(found["network_there"])
    scale = dict(zip(model.schema.input_names, model.guard.scale, strict=True))
    sizes = [abs(value - ROW[name]) / scale[name] for name, value in moves.items()]
    size = max(sizes) if norm == "linf" else np.linalg.norm(sizes)
    assert size <= found["eps"] * (1 + 1e-3)
    for feature in ("weight", "age"):
        alone = lines[feature]["alone"]
        if alone is not None:
            assert differs({feature: alone})
            assert not differs({feature: alone + 1e-3 * (ROW[feature] - alone)})
            assert found["eps"] <= abs(alone - ROW[feature]) / scale[feature] * (1 + 1e-4)
    assert differs({"colour": "green"}) == (lines["colour"]["alone"] == "green")


def test_it_is_said_in_words(served: Callable[[str], GuardedModel], capsys: pytest.CaptureFixture[str]) -> None:
    served(TABLE)
    write_json(Path("request.json"), {"inputs": [{**ROW, "weight": 3900.0, "age": 0.9}, ROW]})
    assert main(["explain", TABLE, "request.json", "--row=0", "--largest=0.01"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("risk: high, probability ")
    assert "nearest change: none found up to L-inf 0.01 standard deviations of each feature" in said
    assert any(line.startswith("colour") and line.endswith("(not attacked)  -") for line in said)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([IMAGE, "row.json"], "is a model of images: use `redoubt attack minimal"),
        (["none", "row.json"], "no model of a task 'none' is here"),
        ([TABLE, "gone.json"], "'gone.json' cannot be read as JSON"),
        ([TABLE, "row.json", "--row=1"], "--row is 1; 'row.json' holds rows 0 to 0"),
        ([TABLE, "row.json", "--largest=0"], "--largest is 0; expected an eps above 0"),
        ([TABLE, "row.json", "--tolerance=1"], "--tolerance is for regression"),
        ([NUMBER, "row.json"], "give --tolerance"),
        ([TABLE, "words.json"], "'words.json' holds no row; expected"),
        ([TABLE, "short.json"], "'short.json': column 'age' is missing; expected weight, age, colour"),
        ([TABLE, "blue.json"], "column 'colour' is 'blue'; expected one of"),
    ],
)
def test_what_cannot_be_explained_gets_one_line(
    served: Callable[[str], GuardedModel], capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    if words[0] != "none":
        served(words[0])
    write_json(Path("words.json"), ["weight"])
    write_json(Path("short.json"), {"weight": 1.0, "colour": "red"})
    write_json(Path("blue.json"), {**ROW, "colour": "blue"})
    assert main(["explain", *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert says in error


class AnotherClass:
    """The one thing that is asked of a criterion here."""

    is_classification = True

    def is_adversarial(self, outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(outputs.argmax(axis=1) != y)


def test_no_change_is_named_that_goes_a_way_an_attacker_may_not(served: Callable[[str], GuardedModel]) -> None:
    model = served(TABLE)
    lower, upper, scale = (np.float32(side) for side in (model.guard.lower, model.guard.upper, model.guard.scale))
    x = model.schema.encode([ROW])
    y, tried = model.network(x).argmax(axis=1), 0

    def alone(place: int, **ways: np.ndarray) -> float | None:
        bounds = Bounds(lower, upper, scale, **ways)
        return Asked(model, AnotherClass(), bounds, ROW, x, y)._alone(place)  # type: ignore[arg-type]

    for place in range(2):
        if (nearest := alone(place)) is None:
            continue
        tried, downwards = tried + 1, nearest < x[0, place]
        other = alone(place, **{"falls" if downwards else "rises": np.zeros(4, np.bool_)})
        assert other is None or (other > x[0, place]) == downwards
        assert alone(place, **{"rises" if downwards else "falls": np.zeros(4, np.bool_)}) == nearest
    assert tried
