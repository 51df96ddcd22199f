"""Champions whose guard only detects or squeezes, as they are served: one variant answers, always alike, and a flag."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.core.store import read_json, write_json
from tests.support.bundles import SCHEMAS, write_card
from tests.support.process import serve

IMAGE = np.random.default_rng(3).random((8, 8)).round(3).tolist()
RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}
VOTES = {"digits": "plain", "colours": "squeezed", "evolution": "plain"}


@pytest.fixture(scope="module")
def plain(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same champions without the vote; `colours` answers by its squeezed input."""
    folder = Path(shutil.copytree(models, tmp_path_factory.mktemp("plain") / "models"))
    for task, schema in SCHEMAS.items():
        champion = folder / task / "champion"
        write_json(champion / "guard.json", {**read_json(champion / "guard.json"), "vote": VOTES[task]})
        write_card(champion, schema)
    return folder


@pytest.fixture(scope="module")
def served(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serve("serving.service:Redoubt", plain, tmp_path_factory.mktemp("server")) as client:
        yield client


def ask(client: httpx.Client, **more: object) -> dict[str, object]:
    answer = client.post("/predict", json={"task": "digits", "inputs": [IMAGE], **more})
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["predictions"]
    assert isinstance(row, dict)
    return row


def test_its_answer_is_the_networks_own_and_always_the_same(served: httpx.Client, plain: Path) -> None:
    one, again = ask(served), ask(served)
    assert one == again
    assert list(one["variants"]) == ["plain", "median", "squeezed"]
    assert one["label"] == one["variants"]["plain"]
    model = GuardedModel.load(plain / "digits" / "champion")
    outputs = model.network(np.float32(IMAGE)[None, ..., None])[0]
    expected = np.exp(outputs - outputs.max()) / np.exp(outputs - outputs.max()).sum()
    assert np.allclose([*one["probabilities"].values()], expected, atol=1e-5)


def test_its_certificate_is_the_networks(served: httpx.Client, plain: Path, http: httpx.Client) -> None:
    """Behind the vote the same network is certified no further, since every variant must keep the label."""
    found, voting = (ask(client, certify="radius")["certified"]["eps"] for client in (served, http))
    assert found >= voting
    model = GuardedModel.load(plain / "digits" / "champion")
    x, label = np.float32(IMAGE)[None, ..., None], int(ask(served)["label"])
    assert model.prove_network(x, found)[0, label] > 0
    assert model.prove_network(x, found + 0.5 / 64)[0, label] <= 0


def test_the_page_is_told_that_no_variant_votes(served: httpx.Client) -> None:
    told = served.get("/page.json").json()["tasks"]
    assert {each["task"]: each["vote"] for each in told} == VOTES
    assert {each["variants"][0] for each in told} == {"plain"}


def test_a_guard_that_squeezes_answers_and_certifies_by_the_squeezed_input(served: httpx.Client, plain: Path) -> None:
    image = np.random.default_rng(4).random((6, 8, 3)).round(3)
    asked = {"task": "colours", "inputs": [image.tolist()], "certify": "radius"}
    one, again = (served.post("/predict", json=asked).json()["predictions"][0] for _ in "ab")
    assert one == again
    assert list(one["variants"]) == ["plain", "median", "squeezed"]
    assert one["label"] == one["variants"]["squeezed"]
    model, x = GuardedModel.load(plain / "colours" / "champion"), np.float32(image)[None]
    outputs = model.predict(x, np.random.default_rng(0)).outputs[0, 2]
    expected = np.exp(outputs - outputs.max()) / np.exp(outputs - outputs.max()).sum()
    assert np.allclose([*one["probabilities"].values()], expected, atol=1e-5)
    step = np.float32(1.0) / np.float32(7.0)
    squeezed = np.round(x / step) * step
    assert np.allclose(model.network(squeezed)[0], outputs, atol=1e-4)
    label, eps = int(outputs.argmax()), one["certified"]["eps"]
    assert model.prove(x, eps, np.random.default_rng(0))[0, 0, label] > 0 or eps == 0


def test_what_squeezing_moves_is_flagged(served: httpx.Client, plain: Path) -> None:
    threshold = GuardedModel.load(plain / "digits" / "champion").threshold
    row = ask(served)
    assert row["flagged"] == (row["adversarial_score"] > threshold)
    assert row["adversarial_score"] > 0


def test_a_number_has_its_network_s_interval(served: httpx.Client, plain: Path) -> None:
    rows = [
        served.post("/predict", json={"task": "evolution", "inputs": [RECORD]}).json()["predictions"][0] for _ in "ab"
    ]
    assert rows[0] == rows[1]
    assert list(rows[0]["variants"]) == ["plain", "squeezed"]
    assert rows[0]["value"] == rows[0]["variants"]["plain"]
    model = GuardedModel.load(plain / "evolution" / "champion")
    x = model.schema.encode([RECORD])
    assert np.allclose(
        [rows[0]["certified"][end] for end in ("low", "high")], model.prove_network(x, 0.1)[0], rtol=1e-5
    )


def test_other_ways_in_say_the_same(served: httpx.Client) -> None:
    expected = ask(served)
    (row,) = served.post("/invocations?task=digits", json={"instances": [IMAGE]}).json()["predictions"]
    assert {key: row[key] for key in ("label", "variants", "certified")} == {
        key: expected[key] for key in ("label", "variants", "certified")
    }
    sent = {"inputs": [{"name": "input", "shape": [1, 8, 8, 1], "datatype": "FP32", "data": np.ravel(IMAGE).tolist()}]}
    told = served.get("/v2/models/digits").json()
    sent["inputs"][0]["name"] = told["inputs"][0]["name"]
    outputs = {
        each["name"]: each["data"] for each in served.post("/v2/models/digits/infer", json=sent).json()["outputs"]
    }
    assert outputs["label"] == [expected["label"]]
    assert np.allclose(outputs["probabilities"], [*expected["probabilities"].values()], atol=1e-5)
