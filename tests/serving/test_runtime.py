"""Which bundles may answer, and that their answers are the guarded model's."""

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import InvalidArgument, ServiceUnavailable

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.certificates import HALVINGS, certified_eps
from redoubt.bundle.model.guarded_model import NOT_PROMOTED, GuardedModel
from serving.runtime import Runtime, load
from serving.schema import PredictRequest, PredictResponse
from tests.support.bundles import SCHEMAS, write_card, write_champion

IMAGE = np.random.default_rng(1).random((2, 8, 8)).round(3).tolist()
RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}


def predict(served: Runtime, task: str, inputs: list[Any]) -> PredictResponse:
    """Ask the runtime as the service does."""
    return served.predict(PredictRequest(task=task, inputs=inputs))


def test_every_vouched_bundle_is_served(loaded: Runtime) -> None:
    assert sorted(loaded.champions) == ["colours", "digits", "evolution"]
    assert loaded.ready


def test_classes_are_the_guarded_models(loaded: Runtime, models: Path) -> None:
    model = GuardedModel.load(models / "digits" / "champion")
    offline = model.predict(np.array(IMAGE, dtype=np.float32)[..., None], np.random.default_rng(0))
    answer = predict(loaded, "digits", IMAGE)
    assert answer.model_digest == model.digest
    for row, prediction in enumerate(answer.predictions):
        assert list(prediction.probabilities) == list(model.schema.labels)
        assert sum(prediction.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
        assert prediction.adversarial_score == pytest.approx(float(offline.score[row]), rel=1e-5)
        assert prediction.flagged == bool(offline.flagged[row])
        assert list(prediction.variants) == list(model.variants)
        for index, name in enumerate(model.guard.fixed_variants):
            assert prediction.variants[name] == model.schema.labels[offline.outputs[row, index].argmax()]


def test_values_are_the_guarded_models(loaded: Runtime, models: Path) -> None:
    model = GuardedModel.load(models / "evolution" / "champion")
    offline = model.predict(model.schema.encode([RECORD]), np.random.default_rng(0))
    (prediction,) = predict(loaded, "evolution", [RECORD]).predictions
    assert prediction.variants["plain"] == pytest.approx(float(offline.outputs[0, 0, 0]), rel=1e-6)
    assert prediction.variants["squeezed"] == pytest.approx(float(offline.outputs[0, 1, 0]), rel=1e-6)
    assert prediction.value == pytest.approx(np.mean(list(prediction.variants.values())), rel=1e-5)


def test_a_certified_ball_holds_the_label_and_is_as_large_as_can_be_proven(models: Path) -> None:
    """An untrained network proves little, and nothing more than little: the next step of the ladder is refused."""
    model = GuardedModel.load(models / "digits" / "champion")
    x, draws, largest = np.array(IMAGE, dtype=np.float32)[..., None], 5, 0.01
    label = model.predict(x, np.random.default_rng(draws)).vote.argmax(axis=1)
    eps, rung = certified_eps(model, x, label, draws, largest), largest / 2**HALVINGS
    assert (eps > 0).any(), "nothing was proven"
    assert np.allclose(eps / rung, np.round(eps / rung), atol=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x_adv = x + (rng.integers(0, 2, x.shape) * 2 - 1) * eps.reshape(-1, 1, 1, 1)
        answered = model.predict(np.clip(x_adv, 0, 1).astype(np.float32), np.random.default_rng(draws)).vote
        assert np.array_equal(answered.argmax(axis=1)[eps > 0], label[eps > 0])
    leads = model.prove(x, eps + rung, np.random.default_rng(draws))[np.arange(2), :, label]
    assert (leads.min(axis=1) <= 0)[eps < largest - rung].all()


def test_a_certified_interval_holds_the_value(loaded: Runtime) -> None:
    (prediction,) = predict(loaded, "evolution", [RECORD]).predictions
    assert prediction.certified.low <= prediction.value <= prediction.certified.high
    assert (prediction.certified.norm, prediction.certified.eps) == ("linf", 0.1)


def test_a_zoo_is_served_by_the_names_of_its_folders(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "digits" / "champion", tmp_path / "digits-hardened")
    zoo = load(tmp_path)
    assert zoo.ready
    assert predict(zoo, "digits-hardened", IMAGE).task == "digits-hardened"


def test_a_bundle_that_was_never_finished_is_not_served(models: Path, tmp_path: Path) -> None:
    for name in ("digits-hardened", ".digits-hardened.0123abcd.part", ".digits/champion"):
        shutil.copytree(models / "digits" / "champion", tmp_path / name)
    served = load(tmp_path)
    assert (list(served.champions), served.problems) == (["digits-hardened"], {})


def test_full_contrast_is_flagged_and_a_faint_picture_is_not(loaded: Runtime) -> None:
    faint = np.full((8, 8), 0.05).tolist()
    flags = [prediction.flagged for prediction in predict(loaded, "digits", [IMAGE[0], faint]).predictions]
    assert flags == [True, False]


# Of the tiny task: cp was trained from 10 to 900, hp from 10 to 90.
FAR = {
    "inside": ({}, [], False),
    "on the edge": ({"cp": 900, "hp": 10}, [], False),
    "a little above": ({"cp": 901}, ["cp"], False),
    "a little below": ({"cp": 9.5}, ["cp"], False),
    "by the range's own width": ({"cp": 1790}, ["cp"], False),
    "by more than that": ({"cp": 1791}, ["cp"], True),
    "far below": ({"cp": -1_000_000}, ["cp"], True),
    "two": ({"cp": 950, "hp": 95}, ["cp", "hp"], False),
}


@pytest.mark.parametrize("name", FAR)
def test_a_number_outside_its_training_range_is_named_and_not_certified(
    name: str, loaded: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the detector's own score flags nothing.
    model = loaded.champions["evolution"].model
    monkeypatch.setattr(model, "guard", model.guard.model_copy(update={"threshold": math.inf}))
    changes, outside, flagged = FAR[name]
    near, prediction = predict(loaded, "evolution", [RECORD, {**RECORD, **changes}]).predictions
    assert (prediction.outside, prediction.flagged) == (outside, flagged)
    assert (prediction.certified is None) == bool(outside)
    assert (near.outside, near.flagged) == ([], False)
    assert near.certified is not None


def test_a_class_outside_the_training_range_is_certified_for_no_eps(loaded: Runtime, tmp_path: Path) -> None:
    schema = SCHEMAS["evolution"].model_copy(
        update={"task": "kinds", "kind": "classification", "labels": ("small", "large")}
    )
    write_champion(tmp_path / "kinds" / "champion", schema)
    inside, outside = predict(load(tmp_path), "kinds", [RECORD, {**RECORD, "hp": 100}]).predictions
    assert (inside.outside, outside.outside) == ([], ["hp"])
    assert outside.certified.eps == 0.0


def test_of_an_image_nothing_is_outside(loaded: Runtime) -> None:
    assert predict(loaded, "digits", IMAGE[:1]).predictions[0].outside == []


def test_every_request_draws_anew(loaded: Runtime) -> None:
    draws = {predict(loaded, "evolution", [RECORD]).predictions[0].variants["random-1"] for _ in range(5)}
    assert len(draws) == 5


def test_a_request_is_one_run_of_the_graph(loaded: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    model = loaded.champions["digits"].model
    inner = model.predict_drawn
    monkeypatch.setattr(model, "predict_drawn", lambda x, draws: runs.append(len(x)) or inner(x, draws))
    predict(loaded, "digits", IMAGE * 8)
    assert runs == [16]


def test_a_far_number_is_answered_while_the_answer_is_finite(loaded: Runtime) -> None:
    (prediction,) = predict(loaded, "evolution", [{**RECORD, "cp": 1e6}]).predictions
    assert np.isfinite(prediction.value)
    with pytest.raises(InvalidArgument, match=r"^input 1: the model has no finite answer"):
        predict(loaded, "evolution", [RECORD, {**RECORD, "cp": 3e38, "hp": -3e38}])


def test_no_champion_says_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty = load(tmp_path)
    assert not empty.ready
    assert "run `make repro`" in caplog.text
    with pytest.raises(InvalidArgument, match=r"unknown task 'digits'; tasks served: none; run `make repro`"):
        predict(empty, "digits", IMAGE)


def _cut(bundle: Path) -> None:
    path = bundle / "model.onnx"
    path.write_bytes(path.read_bytes()[:-7])


def _vouched_for(task: str, **changes: float) -> Callable[[Path], None]:
    """A guard that was changed, by a card that reports on it so."""

    def change(bundle: Path) -> None:
        path = bundle / "guard.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        write_card(bundle, SCHEMAS[task])

    return change


REFUSED = {
    "nothing is flagged": (_vouched_for("digits", threshold=1e30), "threshold is 1e+30, which no score exceeds"),
    "scores of nothing": (
        _vouched_for("digits", output_scale=1e30),
        "which no score exceeds: nothing would be flagged; expected at most 2.001e-30",
    ),
    "no card": (lambda bundle: (bundle / "card.json").unlink(), "card.json cannot be read"),
    "card is not JSON": (
        lambda bundle: (bundle / "card.json").write_text("{"),
        "card.json: Invalid JSON",
    ),
    "gates not passed": (lambda bundle: write_card(bundle, SCHEMAS["digits"], passed=False), "gates were not passed"),
    "other digest": (lambda bundle: write_card(bundle, SCHEMAS["digits"], digest="0" * 64), "its card reports on 000"),
    "graph cut short": (_cut, "has digest"),
    "graph missing": (lambda bundle: (bundle / "model.onnx").unlink(), "model.onnx cannot be read"),
    "card of another task": (
        lambda bundle: write_card(bundle, SCHEMAS["digits"], task="mnist"),
        "its card for 'mnist'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unvouched_bundle_is_refused_and_the_others_answer(
    name: str, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage, reason = REFUSED[name]
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "digits" / "champion")
    caplog.set_level(logging.INFO)
    partial = load(tmp_path)
    assert not partial.ready
    assert "task digits is not served" in caplog.text
    assert reason in caplog.text
    with pytest.raises(ServiceUnavailable):
        predict(partial, "digits", IMAGE)
    assert len(predict(partial, "evolution", [RECORD]).predictions) == 1


def test_a_value_whose_detector_flags_nothing_is_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    _vouched_for("evolution", threshold=1e6)(tmp_path / "evolution" / "champion")
    assert "which no score exceeds" in load(tmp_path).problems["evolution"]


def test_a_task_without_champion_does_not_stop_the_others(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "evolution", tmp_path / "evolution")
    (tmp_path / "digits" / "champion").mkdir(parents=True)
    (tmp_path / "digits" / "champion" / NOT_PROMOTED).touch()
    served = load(tmp_path)
    assert served.ready
    assert list(served.champions) == ["evolution"]
    with pytest.raises(InvalidArgument, match="no model of 'digits' cleared the gates"):
        predict(load(tmp_path), "digits", [[0.0]])


def test_a_folder_that_is_no_name_is_not_served(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "digits", tmp_path / "digits; x")
    shutil.copytree(models / "digits" / "champion", tmp_path / "my digits")
    served = load(tmp_path)
    assert not served.champions
    assert sorted(served.problems) == ["digits; x", "my digits"]
    assert all("is not served: a name is made of the letters" in said for said in served.problems.values())


def test_a_folder_that_is_a_bundle_and_holds_one_is_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "digits", tmp_path / "digits")
    shutil.copytree(models / "digits" / "champion", tmp_path / "digits", dirs_exist_ok=True)
    assert "holds a bundle itself and a champion's too" in load(tmp_path).problems["digits"]


def test_a_bundle_in_anothers_place_is_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "digits", tmp_path / "mnist")
    assert "was made for task 'digits'" in load(tmp_path).problems["mnist"]


def test_answers_are_json_of_short_numbers(loaded: Runtime) -> None:
    said = json.loads(predict(loaded, "evolution", [RECORD]).model_dump_json())
    value = said["predictions"][0]["value"]
    assert value == float(str(np.float32(value)))


def test_what_evaluation_alone_asks_for_is_not_kept_in_memory(loaded: Runtime) -> None:
    model = loaded.champions["digits"].model
    x = np.zeros((1, 8, 8, 1), np.float32)
    for ask in (lambda: model.network(x), lambda: model.prove_network(x, 0.1)):
        with pytest.raises(BundleError, match="opened for its guarded answers alone"):
            ask()
