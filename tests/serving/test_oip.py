"""The Open Inference Protocol: what the service says of itself, answers as /predict gives them, and every refusal."""

import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from redoubt.bundle.guarded_model import GuardedModel
from tests.support.bundles import SCHEMAS

LENGTH = "Inference-Header-Content-Length"
PIXELS = np.random.default_rng(5).random((2, 8, 8, 1), dtype=np.float32)
RECORDS = [{"cp": 300.0, "hp": 50.0, "species": "Eevee"}, {"cp": 20.0, "hp": 40.5, "species": "Caterpie"}]
NOTHING = "there is nothing at this path; GET /docs lists what there is"


def digest(models: Path, task: str) -> str:
    """Of a champion."""
    return GuardedModel.load(models / task / "champion").digest


def image(**changes: Any) -> dict[str, Any]:
    """The tensor of two images, changed as told."""
    return {
        "name": "input",
        "datatype": "FP32",
        "shape": [2, 8, 8, 1],
        "data": PIXELS.ravel().tolist(),
        **changes,
    }


def table(**changes: Any) -> list[dict[str, Any]]:
    """The tensors of two records, one of them changed as told by its name."""
    kinds = {"cp": "FP64", "hp": "FP64", "species": "BYTES"}
    return [
        {"name": name, "datatype": kind, "shape": [2, 1], "data": [each[name] for each in RECORDS]}
        | changes.get(name, {})
        for name, kind in kinds.items()
    ]


def infer(client: httpx.Client, task: str, said: Any, tail: bytes = b"", **headers: str) -> httpx.Response:
    """POST an inference request: an object as JSON, bytes as they are."""
    head = said if isinstance(said, bytes) else json.dumps(said).encode()
    length = {LENGTH: str(len(head))} if tail else {}
    return client.post(f"/v2/models/{task}/infer", content=head + tail, headers={**length, **headers})


def outputs(answer: httpx.Response) -> dict[str, Any]:
    """The data of every output by name."""
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["data"] for each in answer.json()["outputs"]}


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


def text(*words: bytes) -> bytes:
    """Texts as the binary extension has them."""
    return b"".join(struct.pack("<I", len(word)) + word for word in words)


SPECIES = text(b"Eevee", b"Caterpie")
DATA = PIXELS.tobytes()


def binary(size: int, **changes: Any) -> dict[str, Any]:
    """The tensor of two images whose data follow the JSON."""
    tensor = image(parameters={"binary_data_size": size}, **changes)
    return {name: value for name, value in tensor.items() if name != "data"}


def species(data: bytes) -> dict[str, Any]:
    """A request whose categories follow the JSON."""
    inputs = table(species={"parameters": {"binary_data_size": len(data)}})
    del inputs[2]["data"]
    return {"inputs": inputs}


def test_bytes_are_read_as_json_is(client: httpx.Client) -> None:
    listed = outputs(infer(client, "digits", {"inputs": [image()]}))
    given = outputs(infer(client, "digits", {"inputs": [binary(len(DATA))]}, DATA))
    assert given["adversarial_score"] == pytest.approx(listed["adversarial_score"], rel=1e-6)
    assert outputs(infer(client, "evolution", species(SPECIES), SPECIES))["flagged"] == [True, False]


# name: (task, JSON, bytes after it, a piece of the sentence)
BAD: dict[str, tuple[str, Any, bytes, str]] = {
    "not JSON": ("digits", b"{", b"", "the body is not JSON"),
    "a list": ("digits", b"[]", b"", "the body is a list of 0; expected an object with the key inputs"),
    "deep objects": ("digits", b'{"a":' * 1020 + b"1" + b"}" * 1020, b"", "too deeply"),
    "deep lists": ("digits", b"[" * 10**5, b"", "not JSON"),
    "no inputs": ("digits", {}, b"", "inputs: field required"),
    "empty inputs": ("digits", {"inputs": []}, b"", "inputs: list should have at least 1 item"),
    "an unknown key": ("digits", {"inputs": [image()], "guard": 0}, b"", "guard: extra inputs are not permitted"),
    "id is a number": ("digits", {"inputs": [image()], "id": 5}, b"", "id: input should be a valid string"),
    "a key twice": (
        "digits",
        json.dumps({"inputs": [image()]}).replace('"name"', '"datatype": "FP64", "name"').encode(),
        b"",
        "the key 'datatype' appears twice in one object",
    ),
    "an unknown tensor": ("digits", {"inputs": [image(name="x")]}, b"", "unknown input tensor 'x'; expected input"),
    "a tensor twice": ("digits", {"inputs": [image(), image()]}, b"", "an input tensor came twice"),
    "a tensor too few": ("evolution", {"inputs": table()[:2]}, b"", "the input tensor 'species' is missing"),
    "another data type": ("digits", {"inputs": [image(datatype="FP64")]}, b"", "is of 'FP64'; expected FP32"),
    "no data type": ("digits", {"inputs": [image(datatype="")]}, b"", "is of ''; expected FP32"),
    "a shape that does not fit": ("digits", {"inputs": [image(shape=[2, 64])]}, b"", "has the shape [2, 64]; expected"),
    "a negative shape": ("digits", {"inputs": [image(shape=[-1, 8, 8])]}, b"", "inputs.0.shape.0: input should be"),
    "a shape of texts": ("digits", {"inputs": [image(shape=["2", 8, 8])]}, b"", "inputs.0.shape.0: input should be"),
    "no shape": ("digits", {"inputs": [image(shape=[])]}, b"", "inputs.0.shape: list should have at least 1 item"),
    "no input": ("digits", {"inputs": [image(shape=[0, 8, 8], data=[])]}, b"", "holds 0 inputs; expected 1 to 256"),
    "too many": ("digits", {"inputs": [image(shape=[257, 8, 8])]}, b"", "holds 257 inputs; expected 1 to 256"),
    "a huge shape": ("digits", {"inputs": [image(shape=[2**31 - 1] * 8)]}, b"", "has the shape [2147483647, 214"),
    "a shape of 10**30": ("digits", {"inputs": [image(shape=[10**30, 8, 8])]}, b"", "inputs.0.shape.0"),
    "data too short": ("digits", {"inputs": [image(data=[0.5] * 127)]}, b"", "has 127 values; expected 128"),
    "data too long": ("digits", {"inputs": [image(data=[0.5] * 129)]}, b"", "has 129 values; expected 128"),
    "data nested otherwise": (
        "digits",
        {"inputs": [image(data=PIXELS.reshape(8, 16).tolist())]},
        b"",
        "is not nested as its shape [2, 8, 8, 1] is",
    ),
    "data nested in part": ("digits", {"inputs": [image(data=[[0.5], 0.5] * 64)]}, b"", "is not nested as its shape"),
    "null": ("digits", {"inputs": [image(data=[None] * 128)]}, b"", "value 0 is None; expected a number"),
    "a boolean": (
        "digits",
        {"inputs": [image(data=[0.5] * 127 + [True])]},
        b"",
        "value 127 is True; expected a number",
    ),
    "a text": ("digits", {"inputs": [image(data=["0.5"] * 128)]}, b"", "value 0 is '0.5'; expected a number"),
    "NaN": ("digits", {"inputs": [image(data=[0.5] * 127 + [float("nan")])]}, b"", "input 1[7][7][0] is nan"),
    "10**400": ("digits", {"inputs": [image(data=[0.5] * 127 + [10**400])]}, b"", "input 1[7][7][0] is "),
    "a pixel above 1": ("digits", {"inputs": [image(data=[0.5] * 127 + [1.5])]}, b"", "input 1[7][7][0] is 1.5;"),
    "no data": ("digits", {"inputs": [image(data=None)]}, b"", "has no data, or twice"),
    "data twice": (
        "digits",
        {"inputs": [image(parameters={"binary_data_size": 512})]},
        DATA,
        "has no data, or twice; expected data or binary_data_size",
    ),
    "an unknown parameter": ("digits", {"inputs": [image()], "parameters": {"x": 1}}, b"", "parameters.x: extra"),
    "a sequence": ("digits", {"inputs": [image()], "parameters": {"sequence_id": 1}}, b"", "parameters.sequence_id"),
    "shared memory": (
        "digits",
        {"inputs": [image(parameters={"shared_memory_region": "a"})]},
        b"",
        "shared_memory_reg",
    ),
    "certify all": ("digits", {"inputs": [image()], "parameters": {"certify": "all"}}, b"", "parameters.certify"),
    "an unknown output": (
        "digits",
        {"inputs": [image()], "outputs": [{"name": "logits"}]},
        b"",
        "unknown output 'logits'; expected label, probabilities, adversarial_score, flagged, certified_eps, variants",
    ),
    "no output": ("digits", {"inputs": [image()], "outputs": []}, b"", "outputs: list should have at least 1 item"),
    "an output twice": ("digits", {"inputs": [image()], "outputs": [{"name": "label"}] * 2}, b"", "asked for twice"),
    "a certificate that was declined": (
        "digits",
        {"inputs": [image()], "outputs": [{"name": "certified_eps"}], "parameters": {"certify": "none"}},
        b"",
        "output 'certified_eps' was asked for with certify none",
    ),
    "columns of other lengths": (
        "evolution",
        {"inputs": table(hp={"shape": [1], "data": [5.0]})},
        b"",
        "tensor 'hp' holds 1 inputs, the one before it 2",
    ),
    "an unknown category": (
        "evolution",
        {"inputs": table(species={"data": ["Eevee", "Mew"]})},
        b"",
        "input 1: column 'species' is 'Mew'; expected one of Caterpie, Eevee",
    ),
    "a category that is a number": ("evolution", {"inputs": table(species={"data": [1, 2]})}, b"", "expected a text"),
    "1e39": ("evolution", {"inputs": table(cp={"data": [1.0, 1e39]})}, b"", "input 1: column 'cp' is 1e+39"),
    "a number too far for an answer": (
        "evolution",
        {"inputs": table(cp={"data": [1.0, 3e38]}, hp={"data": [1.0, -3e38]})},
        b"",
        "input 1: the model has no finite answer",
    ),
    "bytes too few": ("digits", {"inputs": [binary(512)]}, DATA[:-1], "announces 512 bytes by binary_data_size; 511"),
    "bytes too many": ("digits", {"inputs": [binary(512)]}, DATA + b"x", "513 bytes follow the JSON; the tensors"),
    "bytes that nothing announces": ("digits", {"inputs": [image()]}, b"x", "1 bytes follow the JSON"),
    "announced bytes without any": ("digits", {"inputs": [binary(512)]}, b"", "512 bytes by binary_data_size; 0"),
    "bytes of another shape": ("digits", {"inputs": [binary(4)]}, b"abcd", "has 4 bytes; expected 512"),
    "negative bytes": ("digits", {"inputs": [binary(-1)]}, DATA, "inputs.0.parameters.binary_data_size"),
    "bytes without end": ("digits", {"inputs": [binary(2**62)]}, DATA, "announces 4611686018427387904 bytes"),
    "NaN in bytes": ("digits", {"inputs": [binary(512)]}, DATA[:-4] + b"\0\0\xc0\x7f", "input 1[7][7][0] is nan"),
    "a text without end": ("evolution", species(b"\xff" * 8), b"\xff" * 8, "text 0 is cut short"),
    "a length without end": ("evolution", species(SPECIES + b"\1"), SPECIES + b"\1", "other than the 2 texts"),
    "a text too few": ("evolution", species(text(b"Eevee")), text(b"Eevee"), "other than the 2 texts"),
    "texts that are not UTF-8": ("evolution", species(text(b"\xff", b"a")), text(b"\xff", b"a"), "text 0 is not UTF-8"),
}


def refused(answer: httpx.Response, status: int, sentence: str) -> None:
    """Check an error answer as the protocol wants it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (said,) = answer.json().values()
    assert list(answer.json()) == ["error"]
    assert sentence in said
    assert "\n" not in said
    assert len(said) <= 500


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(name: str, asgi: httpx.Client) -> None:
    task, said, tail, sentence = BAD[name]
    refused(infer(asgi, task, said, tail), 400, sentence)


@pytest.mark.parametrize("length", ["x", "-1", "1.0", "9" * 30, "٣", "100000"])
def test_bad_lengths(length: str, client: httpx.Client) -> None:
    answer = client.post("/v2/models/digits/infer", json={"inputs": [image()]}, headers={LENGTH: length.encode()})
    refused(answer, 400, "expected the bytes of the JSON that the body begins with")


def test_other_refusals_have_the_same_form(client: httpx.Client) -> None:
    refused(infer(client, "dogs", {"inputs": [image()]}), 404, "unknown task 'dogs'")
    refused(infer(client, "digits", b""), 400, "the body is empty")
    refused(infer(client, "digits", {}, **{"content-type": "text/plain"}), 415, "the content type is text/plain")
    refused(infer(client, "digits", {}, **{"content-encoding": "gzip"}), 415, "send the body uncompressed")
    refused(infer(client, "digits", b" " * (4 * 2**20 + 1)), 413, "the body is larger than")


def test_large_requests_are_answered_too(client: httpx.Client) -> None:
    many = image(shape=[256, 8, 8], data=np.resize(PIXELS, 256 * 64).astype(float).tolist())
    given = outputs(infer(client, "digits", {"inputs": [many], "outputs": [{"name": "label"}]}))
    assert len(given["label"]) == 256
    many["data"][-1] = 2
    refused(infer(client, "digits", {"inputs": [many]}), 400, "input 255[7][7][0] is 2")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), value=ANY, tail=st.binary(max_size=20))
def test_any_tensor_is_answered_or_refused(key: str, value: Any, tail: bytes, asgi: httpx.Client) -> None:
    answer = infer(asgi, "digits", {"inputs": [image(**{key: value})]}, tail)
    if answer.status_code != 200:
        refused(answer, 400, "")


def asked(tensor: str, values: np.ndarray, binary_data: bool = True) -> triton.InferInput:
    """An input of Triton's client."""
    kinds = {"f": {4: "FP32", 8: "FP64"}.get(values.itemsize, ""), "O": "BYTES"}
    made = triton.InferInput(tensor, values.shape, kinds[values.dtype.kind])
    return made.set_data_from_numpy(values, binary_data=binary_data)


def test_tritons_own_client(http: httpx.Client, models: Path) -> None:
    with triton.InferenceServerClient(f"{http.base_url.host}:{http.base_url.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
        assert not client.is_model_ready("dogs")
        assert client.get_server_metadata()["name"] == "redoubt"
        version = client.get_model_metadata("digits")["versions"][0]
        assert client.get_model_metadata("digits", version)["inputs"][0]["name"] == "input"
        for binary_data in (True, False):
            inputs = [asked("input", PIXELS, binary_data)]
            said = client.infer("digits", inputs, model_version=version, request_id="7")
            assert said.get_response()["id"] == "7"
            chosen = said.as_numpy("probabilities").argmax(axis=1)
            assert [int(label) for label in said.as_numpy("label")] == chosen.tolist()
            assert said.as_numpy("flagged").dtype == np.bool_
        with pytest.raises(InferenceServerException, match="unknown task 'dogs'"):
            client.infer("dogs", inputs)


def test_tritons_own_client_asks_for_some_outputs_of_a_table(http: httpx.Client, models: Path) -> None:
    cells = {name: np.array([[each[name]] for each in RECORDS]) for name in ("cp", "hp")}
    cells["species"] = np.array([[each["species"]] for each in RECORDS], dtype=object)
    inputs = [asked(name, values) for name, values in cells.items()]
    outputs = [triton.InferRequestedOutput(name, binary_data=name == "value") for name in ("value", "flagged")]
    with triton.InferenceServerClient(f"{http.base_url.host}:{http.base_url.port}") as client:
        said = client.infer("evolution", inputs, outputs=outputs, parameters={"certify": "none"})
    offline = GuardedModel.load(models / "evolution" / "champion")
    expected = offline.predict(SCHEMAS["evolution"].encode(RECORDS), np.random.default_rng(0))
    assert said.as_numpy("value") == pytest.approx(expected.vote[:, 0], rel=0.1)
    assert said.as_numpy("flagged").tolist() == expected.flagged.tolist()
    assert said.as_numpy("label") is None
