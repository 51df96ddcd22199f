"""The Open Inference Protocol: what the service says of itself, and answers as /predict gives them."""

import gc
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from redoubt.bundle.model.guarded_model import GuardedModel
from tests.support.bundles import SCHEMAS
from tests.support.oip import DATA, PIXELS, RECORDS, SPECIES, binary, image, infer, outputs, species, table

NOTHING = "there is nothing at this path; GET /docs lists what there is"


def digest(models: Path, task: str) -> str:
    """Of a champion."""
    return GuardedModel.load(models / task / "champion").digest


def test_the_service_and_its_models_tell_of_themselves(client: httpx.Client, models: Path) -> None:
    said = digest(models, "digits")
    assert client.get("/v2").json() == {"name": "redoubt", "version": "1", "extensions": ["binary_tensor_data"]}
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/digits", f"/v2/models/digits/versions/{said}"):
        assert client.get(path + "/ready").json() == {"name": "digits", "ready": True}
        model = client.get(path).json()
        assert (model["name"], model["versions"], model["platform"]) == ("digits", [said], "onnx_onnxv1")
        assert model["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 8, 8, 1]}]
        names = [each["name"] for each in model["outputs"]]
        assert names == ["label", "probabilities", "adversarial_score", "flagged", "certified_eps", "variants"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v2/", NOTHING),
        ("/v2/nothing", NOTHING),
        ("/v2/health", NOTHING),
        ("/v2/models", NOTHING),
        ("/v2/models/", NOTHING),
        ("/v2/models/digits/versions", NOTHING),
        ("/v2/models/dogs", "unknown task 'dogs'; tasks served: colours, digits, evolution"),
        ("/v2/models/dogs/ready", "unknown task 'dogs'; tasks served: colours, digits, evolution"),
    ],
)
def test_what_is_not_there(path: str, sentence: str, client: httpx.Client) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": sentence})


@pytest.mark.parametrize("path", ["/v2/models/digits/versions/7", "/v2/models/digits/versions/7/ready"])
def test_another_version_is_not_there(path: str, client: httpx.Client, models: Path) -> None:
    answer = client.get(path)
    expected = f"model 'digits' has no version '7'; the one that is served is {digest(models, 'digits')}"
    assert (answer.status_code, answer.json()) == (404, {"error": expected})
    answer = client.post("/v2/models/digits/versions/7/infer", json={"inputs": [image()]})
    assert (answer.status_code, answer.json()) == (404, {"error": expected})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v2/models/digits/infer", "POST"), ("POST", "/v2", "GET"), ("DELETE", "/v2/models/digits", "GET")],
)
def test_wrong_methods(method: str, path: str, allowed: str, client: httpx.Client) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (405, allowed, ["error"])


def test_images_are_answered_as_by_predict(client: httpx.Client, models: Path) -> None:
    answer = infer(client, "digits", {"id": "a-7", "inputs": [image()]})
    said = answer.json()
    assert (said["id"], said["model_name"], said["model_version"]) == ("a-7", "digits", digest(models, "digits"))
    assert said["parameters"] == {"certify": "budget"}
    given = outputs(answer)
    listed = client.post("/predict", json={"task": "digits", "inputs": PIXELS.tolist()}).json()["predictions"]
    assert given["adversarial_score"] == pytest.approx([each["adversarial_score"] for each in listed], rel=1e-5)
    assert given["flagged"] == [each["flagged"] for each in listed]
    fixed = [list(each["variants"].values())[:3] for each in listed]
    assert np.reshape(given["variants"], (2, 5))[:, :3].tolist() == fixed
    assert np.reshape(given["probabilities"], (2, 10)).sum(axis=1) == pytest.approx(1.0, rel=1e-5)
    assert set(given["certified_eps"]) <= {0.0, 0.1}


def test_records_are_answered_as_by_predict(client: httpx.Client) -> None:
    given = outputs(infer(client, "evolution", {"inputs": table()}))
    listed = client.post("/predict", json={"task": "evolution", "inputs": RECORDS}).json()["predictions"]
    plain = [each["variants"]["plain"] for each in listed]
    assert np.reshape(given["variants"], (2, 4))[:, 0] == pytest.approx(plain, rel=1e-6)
    assert given["flagged"] == [each["flagged"] for each in listed]
    assert np.all(np.array(given["certified_low"]) <= given["value"])
    assert np.all(np.array(given["certified_high"]) >= given["value"])
    assert given["outside"] == [False] * 8


@pytest.mark.parametrize("shape", [[2, 8, 8, 1], [2, 8, 8]])
@pytest.mark.parametrize("nested", [False, True])
def test_data_may_be_nested_and_grey_pixels_bare(shape: list[int], nested: bool, asgi: httpx.Client) -> None:
    data = PIXELS.reshape(shape).tolist() if nested else PIXELS.ravel().tolist()
    asked = {"inputs": [image(shape=shape, data=data)], "outputs": [{"name": "label"}]}
    assert list(outputs(infer(asgi, "digits", asked))) == ["label"]


def test_a_column_may_be_flat(asgi: httpx.Client) -> None:
    flat = {name: {"shape": [2]} for name in ("cp", "hp", "species")}
    assert len(outputs(infer(asgi, "evolution", {"inputs": table(**flat)}))["value"]) == 2


def test_null_stands_for_what_is_left_out(asgi: httpx.Client) -> None:
    """As generated clients send whatever they were not given."""
    nothing = {"certify": None, "binary_data_output": None, "content_type": None}
    asked = {"inputs": [image(parameters=None)], "outputs": [{"name": "label", "parameters": None}], "id": None}
    for parameters in (None, nothing):
        assert list(outputs(infer(asgi, "digits", {**asked, "parameters": parameters}))) == ["label"]


def test_who_asks_for_no_certificate_gets_none(asgi: httpx.Client) -> None:
    given = outputs(infer(asgi, "digits", {"inputs": [image()], "parameters": {"certify": "none"}}))
    assert "certified_eps" not in given


def test_a_radius_is_certified_when_asked_for(asgi: httpx.Client) -> None:
    answer = infer(asgi, "digits", {"inputs": [image()], "parameters": {"certify": "radius"}})
    assert answer.json()["parameters"] == {"certify": "radius"}
    assert max(outputs(answer)["certified_eps"]) > 0


def test_what_lies_far_outside_is_flagged_and_has_no_certificate(client: httpx.Client) -> None:
    far = table(cp={"data": [-1_000_000.0, 300.0]})
    given = outputs(infer(client, "evolution", {"inputs": far}))
    assert given["flagged"][0]
    assert given["outside"][:4] == [True, False, False, False]
    assert given["certified_eps"] == pytest.approx([0.0, 0.1])
    assert given["certified_low"][0] == given["certified_high"][0] == given["value"][0]


def test_bytes_are_read_as_json_is(client: httpx.Client) -> None:
    listed = outputs(infer(client, "digits", {"inputs": [image()]}))
    given = outputs(infer(client, "digits", {"inputs": [binary(len(DATA))]}, DATA))
    assert given["adversarial_score"] == pytest.approx(listed["adversarial_score"], rel=1e-6)
    assert outputs(infer(client, "evolution", species(SPECIES), SPECIES))["flagged"] == [True, False]


def asked(tensor: str, values: np.ndarray, binary_data: bool = True) -> triton.InferInput:
    """An input of Triton's client."""
    kinds = {"f": {4: "FP32", 8: "FP64"}.get(values.itemsize, ""), "O": "BYTES"}
    made = triton.InferInput(tensor, values.shape, kinds[values.dtype.kind])
    return made.set_data_from_numpy(values, binary_data=binary_data)


@pytest.fixture
def caller(http: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    """Triton's own client of the real server."""
    with triton.InferenceServerClient(f"{http.base_url.host}:{http.base_url.port}") as client:
        yield client
    # It ends greenlets as it goes, which must not be in the midst of whatever happens to set off a collection.
    del client
    gc.collect()


def test_tritons_own_client(caller: triton.InferenceServerClient) -> None:
    assert caller.is_server_live()
    assert caller.is_server_ready()
    assert caller.is_model_ready("digits")
    assert not caller.is_model_ready("dogs")
    assert caller.get_server_metadata()["name"] == "redoubt"
    version = caller.get_model_metadata("digits")["versions"][0]
    assert caller.get_model_metadata("digits", version)["inputs"][0]["name"] == "input"
    for binary_data in (True, False):
        inputs = [asked("input", PIXELS, binary_data)]
        said = caller.infer("digits", inputs, model_version=version, request_id="7")
        assert said.get_response()["id"] == "7"
        chosen = said.as_numpy("probabilities").argmax(axis=1)
        assert [int(label) for label in said.as_numpy("label")] == chosen.tolist()
        assert said.as_numpy("flagged").dtype == np.bool_


def test_tritons_own_client_is_told_what_is_wrong(caller: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="unknown task 'dogs'"):
        caller.infer("dogs", [asked("input", PIXELS)])


def test_tritons_own_client_asks_for_some_outputs_of_a_table(
    caller: triton.InferenceServerClient, models: Path
) -> None:
    cells = {name: np.array([[each[name]] for each in RECORDS]) for name in ("cp", "hp")}
    cells["species"] = np.array([[each["species"]] for each in RECORDS], dtype=object)
    inputs = [asked(name, values) for name, values in cells.items()]
    outputs = [triton.InferRequestedOutput(name, binary_data=name == "value") for name in ("value", "flagged")]
    said = caller.infer("evolution", inputs, outputs=outputs, parameters={"certify": "none"})
    offline = GuardedModel.load(models / "evolution" / "champion")
    expected = offline.predict(SCHEMAS["evolution"].encode(RECORDS), np.random.default_rng(0))
    assert said.as_numpy("value") == pytest.approx(expected.vote[:, 0], rel=0.1)
    assert said.as_numpy("flagged").tolist() == expected.flagged.tolist()
    assert said.as_numpy("label") is None
