"""Whatever does not fit the Open Inference Protocol or the model: one sentence, as the protocol wants it."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.oip import DATA, LENGTH, PIXELS, SPECIES, binary, image, infer, outputs, species, table, text

# name: (task, JSON, bytes after it, a piece of the sentence)
BAD: dict[str, tuple[str, Any, bytes, str]] = {
    "not JSON": ("digits", b"{", b"", "the body is not JSON"),
    "Python's nan": ("digits", b'{"inputs": [nan]}', b"", "the body is not JSON: an unknown word at line 1 column"),
    "a list": ("digits", b"[]", b"", "the body is a list of 0; expected an object with the key inputs"),
    "deep objects": ("digits", b'{"a":' * 1020 + b"1" + b"}" * 1020, b"", "too deeply"),
    "deep lists": ("digits", b"[" * 10**5, b"", "not JSON"),
    "no inputs": ("digits", {}, b"", "inputs: field required"),
    "empty inputs": ("digits", {"inputs": []}, b"", "inputs: list should have at least 1 item"),
    "an unknown key": ("digits", {"inputs": [image()], "guard": 0}, b"", "guard: unknown key"),
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
    "no data": ("digits", {"inputs": [image(data=None)]}, b"", "has neither data nor binary_data_size; expected one"),
    "data twice": (
        "digits",
        {"inputs": [image(parameters={"binary_data_size": 512})]},
        DATA,
        "has both data and binary_data_size; expected one of them",
    ),
    "an unknown parameter": ("digits", {"inputs": [image()], "parameters": {"x": 1}}, b"", "parameters.x: unknown key"),
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
