"""What single stages decide, on files made for the purpose."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import promote, validate
from pipelines._data import load_data
from pipelines.headline import headline
from redoubt.bundle.base.io import digest
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, GuardedModel
from redoubt.core.store import read_json, write_json
from redoubt.data.fits import UnfitError
from redoubt.data.shared import dataset
from redoubt.data.shared.dataset import Raw
from redoubt.evaluation.feasibility import FeasibilityError
from redoubt.evaluation.metrics import Rate, Score, rate
from redoubt.evaluation.results import NORMS, Check, GuardedClean, GuardedColumns, Robustness, ThreatResult
from redoubt.params.load import load
from redoubt.params.resolve import settings
from redoubt.params.settings.networks import Cnn, Linear
from redoubt.params.settings.sections import GatesParams, SweepParams, TrainParams
from redoubt.params.settings.stages import PromoteSettings, SectionSettings, ValidateSettings
from redoubt.params.task import Task
from redoubt.runs import RunRecord
from tests.support.staged import COUNT, put_rows
from tests.support.tiny import IMAGE, SCHEMAS, rows

SWEPT = SweepParams(batch_size=(8,), learning_rate=(0.01,), models=(Linear(kind="linear"),), epochs=1)
COLUMNS = ("noise", "fgsm", "pgd", "undefended", "oblivious", "flagged_oblivious", "flagged_adaptive")


def scored(low: float) -> Score:
    """A balanced accuracy with this lower end; a constant's is 0.25, as of four classes."""
    return Score(metric="balanced accuracy", value=low, low=low, high=1.0, n=12, constant=0.25)


def attacked(
    task: Task, robust: dict[str, float], accuracy: float = 0.9, trusted: bool = True, degenerate: str | None = None
) -> None:
    """The robustness.json of models with these lower bounds and this clean accuracy."""
    models = {}
    for name, low in robust.items():
        share = Rate(share=low, low=low, high=1.0, n=12)
        squeezed = dict.fromkeys(("oblivious", "adaptive", "flagged_oblivious", "flagged_adaptive"), share)
        cells = [
            ThreatResult(
                norm=norm,
                eps=task.eps.of(norm),
                adaptive=share,
                broken=[],
                scores={"adaptive": scored(low), "undefended": scored(low - 0.05)},
                behind={"squeezed": GuardedColumns(scores={"adaptive": scored(low - 0.05)}, **squeezed)},
                **dict.fromkeys(COLUMNS, share),
            )
            for norm in ("linf", "l2")
        ]
        clean = Rate(share=accuracy, low=accuracy, high=1.0, n=12)
        measured = Robustness(
            digest=digest((name + str(low)).encode()),
            clean=clean,
            clean_guarded=clean,
            false_positives=share,
            cells=cells,
            checks={norm: [Check(name="outputs are logits", passed=trusted, found="so")] for norm in NORMS},
            scores={"clean": scored(accuracy), "clean_guarded": scored(accuracy)},
            degenerate=degenerate,
            behind={"squeezed": GuardedClean(clean_guarded=clean, scores={"clean_guarded": scored(accuracy)})},
        ).model_dump()
        folder = Path("models/risk", name)
        measured["digest"] = GuardedModel.load(folder).digest
        figures = {
            column: {"accuracy": clean, "balanced_accuracy": clean, "mcc": clean}
            for column, clean in (("undefended", 0.99), ("guarded", accuracy), ("squeezed", accuracy))
        }
        models[name] = {"validation": measured, "test": measured, "clean": figures}
    write_json(Path("reports/risk/robustness.json"), {"task": "risk", "norm": task.harden.norm, "models": models})


def line(task: Task) -> dict[str, Any]:
    """The task's line in the table of champions."""
    return headline(settings(SectionSettings, task, 1))


def promoted(task: Task, **change: Any) -> dict[str, Any]:
    task = task.model_copy(update=change)
    promote.work(settings(PromoteSettings, task, 1))
    decision: dict[str, Any] = read_json(Path("reports/risk/promotion.json"))
    return decision


BOTH = {"natural": 0.35, "adversarial": 0.6}


def test_the_champion_is_a_whole_bundle_with_a_card_and_a_request(task: Task) -> None:
    attacked(task, BOTH)
    decision = promoted(task)
    folder = Path("models/risk/champion")
    card = read_json(folder / "card.json")
    assert (decision["champion"], decision["kept_incumbent"]) == ("adversarial", False)
    assert decision["digest"] == card["digest"] == GuardedModel.load(folder).digest
    assert card.items() >= {"task": "risk", "kind": task.kind, "model": "adversarial", "passed": True}.items()
    assert {where: each["accuracy"] for where, each in card["clean"].items()} == {"network": 0.99, "guarded": 0.9}
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*BUNDLE_FILES, "MODEL_CARD.md", "card.json", "example.json"]
    )
    assert f"Digest `{card['digest']}`" in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    data = load_data("risk")
    request = read_json(folder / "example.json")
    assert np.allclose(data.schema.encode(request["inputs"]), data.test.x[:2])
    record = RunRecord.model_validate(read_json(Path("reports/risk/records/promote.json")))
    assert record.metrics["adversarial/robust"] == pytest.approx(0.6)


def test_no_model_above_the_gates_no_champion(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    attacked(task, {"natural": 0.1, "adversarial": 0.2})
    decision = promoted(task)
    assert (decision["champion"], decision["digest"]) == (None, None)
    assert [path.name for path in Path("models/risk/champion").iterdir()] == ["NOT_PROMOTED"]
    said = capsys.readouterr().out
    assert "no model is promoted\n" in said
    assert "adversarial: robust balanced accuracy 0.200 (0.200 to 1.000) is below the gate 0.3 at its lower end" in said
    assert f"what to do: {decision['next_step']}" in said
    row = line(task)
    assert row["champion"] is None
    assert any(note.startswith("adversarial: robust balanced accuracy 0.200") for note in row["notes"])


def test_a_constant_is_no_champion_however_robust(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    attacked(task, {"natural": 0.99}, degenerate="it predicts a single class, 'low', for all 12 examples")
    assert promoted(task)["champion"] is None
    assert "natural: it predicts a single class, 'low', for all 12 examples; such a model" in capsys.readouterr().out


def test_a_champion_is_no_worse_than_a_linear_model_by_more_than_is_declared(task: Task) -> None:
    attacked(task, BOTH, accuracy=0.6)
    decision = promoted(task, gates=GatesParams())
    linear, constant = (decision["baselines"][name]["validation"] for name in ("linear", "constant"))
    assert linear["score"]["value"] >= 0.75, "the linear model has learnt nothing"
    assert constant["balanced_accuracy"] == constant["score"]["constant"] == 0.5
    assert constant["mcc"] == 0
    assert decision["champion"] is None
    assert "below the linear model's" in decision["candidates"][0]["failed"][0]
    assert "a linear model does better" in decision["next_step"]
    attacked(task, BOTH, accuracy=linear["score"]["value"])
    assert promoted(task, gates=GatesParams())["champion"] == "adversarial"


def test_a_gate_out_of_reach_stops_before_anything_is_trained(task: Task) -> None:
    data = dataset.answered(dataset.read(Path("data/raw/risk")))
    strict = settings(ValidateSettings, task.model_copy(update={"gates": GatesParams(clean=0.9)}), 1)
    with pytest.raises(
        FeasibilityError, match=r"gates.clean needs a lower end of at least 0.9, and the 9 validation examples"
    ):
        validate._check_reach(strict, data)
    notes = validate._check_reach(settings(ValidateSettings, task, 1), data)
    assert all("examples that models are judged by" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train": TrainParams(epochs=1, patience=1, threshold="balanced")}, "'place' has 3: leave it out"),
        (
            {"sweep": SWEPT.model_copy(update={"models": (Cnn(kind="cnn", filters=(4, 4, 4)),)})},
            "a cnn of 3 filters halves an image 3 times by max pooling, and 6 x 6 pixels only 2 times",
        ),
    ],
    ids=["threshold", "poolings"],
)
def test_what_these_data_cannot_be_trained_with_is_refused_before_they_are_judged(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    batch = rows(IMAGE, 60)
    raw = Raw(SCHEMAS[IMAGE], "own.npz", "own.npz", x=batch.x, y=batch.y, levels=1)
    dataset.save(Path("data/raw/bars"), raw)
    known = load(project / "params.yaml").task("digits").model_copy(update={"name": "bars", **change})
    with pytest.raises(UnfitError, match=re.escape(says)):
        validate.work(settings(ValidateSettings, known, 1))
    assert not Path("reports").exists()


def test_what_a_constant_gets_stands_beside_the_champion(task: Task) -> None:
    attacked(task, BOTH)
    promoted(task)
    note, squeezed, guard = line(task)["notes"]
    minus = "\N{MINUS SIGN}"
    assert (
        guard == f"the guard votes; if it only detected: clean 0.0, adaptive {minus}5.0 points, on validation examples"
    )
    assert squeezed == guard.replace("it only detected", "it squeezed")
    assert note.startswith("a constant predictor ('")
    assert "balanced 50.0 %, clean and under any attack" in note


def test_why_a_champion_is_not_trusted_stands_beside_it(task: Task) -> None:
    """On validation examples, by which it was chosen, every check passed."""
    attacked(task, BOTH)
    promoted(task)
    assert line(task)["trusted"]
    path = Path("models/risk/champion/card.json")
    card = read_json(path)
    card["numbers"]["checks"]["linf"] = [{"name": "no gradient is zero", "passed": False, "found": "2.2 % are"}]
    write_json(path, card)
    row = line(task)
    assert not row["trusted"]
    assert row["notes"][0] == "not trusted on the test split: no gradient is zero: 2.2 % are"


def test_what_the_threat_cannot_change_stands_beside_the_champion(task: Task) -> None:
    attacked(task, BOTH)
    promoted(task)
    path = Path("models/risk/champion/card.json")
    card = read_json(path)
    for cell in card["numbers"]["cells"]:
        cell["immovable"] = {"features": ["colour"], "of": 3, "examples": 0, "n": 12, "importance": 0.8}
    write_json(path, card)
    notes = line(task)["notes"]
    assert (
        "1 of 3 features cannot change within L-inf 0.3: colour; it carries 80 % of the permutation importance" in notes
    )


def carded(**clean: float) -> None:
    """The champion's card with these clean figures, and figures by class."""
    path = Path("models/risk/champion/card.json")
    card = read_json(path)
    card["clean"]["guarded"] |= clean
    shares = [rate(np.arange(20) < count).model_dump() for count in (19, 2)]
    for cell in card["numbers"]["cells"]:
        cell["scores"]["adaptive"] |= {"value": 0.525, "per_class": shares}
    write_json(path, card)


def test_uneven_classes_are_shown_balanced_too(task: Task) -> None:
    attacked(task, BOTH)
    promoted(task)
    carded(accuracy=0.945, balanced_accuracy=0.5)
    row = line(task)
    assert row["clean"] == "accuracy 94.5 %, balanced 50.0 %"
    assert "balanced accuracy: undefended 55.0 %, adaptive 52.5 %" in row["notes"]
    assert "class 'low': adaptive 10.0 % on 20 examples, the lowest of all classes" in row["notes"]


def test_an_accuracy_no_better_than_a_constants_is_shown_balanced_too(task: Task) -> None:
    attacked(task, BOTH)
    promoted(task)
    carded(accuracy=0.7, balanced_accuracy=0.69)
    path = Path("reports/risk/promotion.json")
    decision = read_json(path)
    for constant, shown in ((0.6, "accuracy 70.0 %"), (0.74, "accuracy 70.0 %, balanced 69.0 %")):
        decision["baselines"]["constant"]["test"]["accuracy"] = constant
        write_json(path, decision)
        assert line(task)["clean"] == shown


def test_robustness_that_was_not_measured_is_no_robustness(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    attacked(task, BOTH)
    path = Path("reports/risk/robustness.json")
    report = read_json(path)
    for model in report["models"].values():
        for cell in model["validation"]["cells"]:
            cell.update(dict.fromkeys((*COLUMNS, "adaptive")))
    write_json(path, report)
    decision = promoted(task)
    assert decision["champion"] is None
    assert "adversarial: robust accuracy was not measured" in capsys.readouterr().out
    record = RunRecord.model_validate(read_json(Path("reports/risk/records/promote.json")))
    names = ("adversarial", "constant", "linear", "natural", "trees")
    assert sorted(record.metrics) == [f"{name}/clean" for name in names]


def test_the_card_says_the_threat_in_raw_units(task: Task) -> None:
    attacked(task, BOTH)
    harden = task.harden.model_copy(
        update={"adversarial": task.harden.adversarial.model_copy(update={"train_eps": 0.2})}
    )
    promoted(task, harden=harden)
    threat = read_json(Path("models/risk/champion/card.json"))["threat"]
    scale = load_data("risk").bounds.scale
    assert (threat["norm"], threat["eps"]) == ("linf", 0.3)
    assert threat["raw_units"] == pytest.approx({"weight": 0.3 * scale[0], "age": 0.3 * scale[1], "colour": 0.0})
    assert threat["says"].startswith("L-inf 0.3 standard deviations = ")
    assert threat["trained_elsewhere"] == ["adversarial is trained at L-inf 0.2; attacked and certified at 0.3"]


def test_figures_not_to_be_trusted_block_promotion(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    attacked(task, BOTH, trusted=False)
    assert promoted(task)["champion"] is None
    assert "adversarial: failed check: outputs are logits: so" in capsys.readouterr().out


def test_a_better_incumbent_stays_and_is_shown_with_its_own_figures(task: Task) -> None:
    attacked(task, BOTH, accuracy=0.97)
    first = promoted(task)
    Path("models/risk/adversarial/labels.json").write_text('["high", "low"  ]')
    attacked(task, {"natural": 0.35, "adversarial": 0.5}, accuracy=0.61)
    decision = promoted(task)
    assert (decision["kept_incumbent"], decision["champion"], decision["digest"]) == (
        True,
        "adversarial",
        first["digest"],
    )
    told = Path("models/risk/champion/MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"Digest `{first['digest']}`" in told
    row = line(task)
    assert row["clean"] == "accuracy 97.0 %", "the figure of a model that was not promoted"
    assert row["adaptive"]["share"] == 0.6


@pytest.mark.parametrize("found", [{"adversarial": 0.6}, {"adversarial": 0.7}], ids=["equal", "better"])
def test_an_incumbent_that_is_no_better_yields(task: Task, found: dict[str, float]) -> None:
    attacked(task, BOTH)
    promoted(task)
    Path("models/risk/adversarial/labels.json").write_text('["high", "low"  ]')
    attacked(task, found)
    decision = promoted(task)
    assert not decision["kept_incumbent"]
    assert decision["digest"] == GuardedModel.load(Path("models/risk/adversarial")).digest


def other_split(task: Task) -> dict[str, Any]:
    put_rows(np.random.default_rng(1).permutation(COUNT - 1))
    return {}


def weaker_attack(task: Task) -> dict[str, Any]:
    return {"attack": task.attack.model_copy(update={"steps": 1})}


def higher_gate(task: Task) -> dict[str, Any]:
    return {"gates": GatesParams(clean=0.5, robust=0.65, worse_than_linear=1.0)}


def old_measure(task: Task) -> dict[str, Any]:
    path = Path("models/risk/champion/card.json")
    card = read_json(path)
    del card["comparable"]["measure"]
    write_json(path, {**card, "selection": {"name": "adversarial", "clean": 0.9, "robust": 0.9}})
    return {}


def touched_bundle(task: Task) -> dict[str, Any]:
    Path("models/risk/champion/labels.json").write_text("[]")
    return {}


def lost_card(task: Task) -> dict[str, Any]:
    Path("models/risk/champion/card.json").unlink()
    return {}


@pytest.mark.parametrize("change", [other_split, weaker_attack, higher_gate, old_measure, touched_bundle, lost_card])
def test_an_incumbent_measured_otherwise_or_no_longer_whole_is_not_kept(
    task: Task, change: Callable[[Task], dict[str, Any]]
) -> None:
    attacked(task, BOTH)
    promoted(task)
    changed = change(task)
    attacked(task, {"natural": 0.1, "adversarial": 0.4})
    decision = promoted(task, **changed)
    assert not decision["kept_incumbent"]
    assert decision["champion"] == (None if change is higher_gate else "adversarial")
