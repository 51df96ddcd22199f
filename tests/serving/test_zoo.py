"""The trained weights that are committed: what their cards say of them holds, and they serve."""

import os
from pathlib import Path

import pytest
import yaml

from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.bundle.schema import Schema
from redoubt.cli import main
from redoubt.core.store import read_json
from redoubt.report.model_card import model_card
from serving.runtime import load
from serving.schema import PredictRequest

ZOO = Path(__file__).resolve().parents[2] / "zoo"
BUNDLES = ["mnist-adversarial", "mnist-certified"]
NATURAL = "mnist-natural"
every_bundle = pytest.mark.parametrize("name", BUNDLES)


def test_it_holds_these_bundles_and_stays_small() -> None:
    assert sorted(path.name for path in ZOO.iterdir() if path.is_dir()) == sorted([*BUNDLES, NATURAL])
    assert not (ZOO / NATURAL / "card.json").exists(), "without a card it is never served"
    assert sum(path.stat().st_size for path in ZOO.rglob("*") if path.is_file()) <= 24 * 2**20


@every_bundle
def test_its_files_are_those_of_the_card(name: str) -> None:
    assert digest_folder(ZOO / name, BUNDLE_FILES) == read_json(ZOO / name / "card.json")["digest"]


@every_bundle
def test_the_service_answers_the_example_beside_it(name: str) -> None:
    served = load(ZOO)
    assert sorted(served.champions) == BUNDLES
    request = PredictRequest.model_validate(read_json(ZOO / name / "example.json"))
    answer = served.predict(request)
    assert answer.model_digest == read_json(ZOO / name / "card.json")["digest"]
    assert len(answer.predictions) == len(request.inputs)
    assert all(prediction.label in prediction.probabilities for prediction in answer.predictions)


@every_bundle
def test_its_card_tells_the_network_from_the_guarded_model(name: str) -> None:
    clean = read_json(ZOO / name / "card.json")["clean"]
    assert sorted(clean) == ["guarded", "network"]
    assert all(0.9 < figures["accuracy"] < 1.0 for figures in clean.values())


@every_bundle
def test_its_model_card_says_what_its_card_does(name: str) -> None:
    card, schema = read_json(ZOO / name / "card.json"), Schema.model_validate(read_json(ZOO / name / "schema.json"))
    text = (ZOO / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text == model_card(name, card, schema)
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["pipeline_tag"] == "image-classification"
    (result,) = header["model-index"][0]["results"]
    assert {each["value"] for each in result["metrics"]} >= {card["numbers"]["clean_guarded"]["share"]}


def test_a_card_comes_out_of_its_files_again(monkeypatch: pytest.MonkeyPatch) -> None:
    if "REDOUBT_DATA_MIRROR" not in os.environ:
        pytest.skip("REDOUBT_DATA_MIRROR is not set: it names the directory that holds MNIST")
    monkeypatch.chdir(ZOO.parent)
    assert main(["verify", "zoo/mnist-certified", "--quick"]) == 0
