"""The HTTP interface, asked of the ASGI application and of a real server alike."""

import gc
import gzip
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from redoubt.bundle.model.guarded_model import GuardedModel
from serving.openapi import example
from serving.service import LIMITS
from tests.support.bundles import SCHEMAS, SPECIES
from tests.support.images import bomb, encoded

GOOD = np.full((8, 8), 0.5).tolist()
RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
PNG = encoded(Image.new("L", (8, 8), 128))


def with_pixel(value: Any) -> list[list[Any]]:
    """A good image but for one pixel."""
    image = [row[:] for row in GOOD]
    image[3][5] = value
    return image


def digits(*inputs: Any) -> bytes:
    """A request's body for images."""
    return json.dumps({"task": "digits", "inputs": inputs}).encode()


def evolution(**changes: Any) -> bytes:
    """A request's body for one record, changed as told."""
    return json.dumps({"task": "evolution", "inputs": [{**RECORD, **changes}]}).encode()


# name: (body, a piece of the sentence)
BAD_JSON: dict[str, tuple[bytes, str]] = {
    "empty body": (b"", "the body is empty"),
    "not JSON": (b"nope", "the body is not JSON: an unknown word at line 1 column 2; the words of JSON are null, true"),
    "Python's nan": (
        b'{"task": "digits", "inputs": [[nan]]}',
        "JSON: an unknown word at line 1 column",
    ),
    "Python's None": (b'{"task": "digits", "inputs": [[None]]}', "JSON: an unknown word at line 1 column"),
    "a list": (b"[]", "the body is a list of 0; expected an object with the keys task and inputs"),
    "null": (b"null", "the body is None; expected an object"),
    "not UTF-8": (b"\xff\xfe\x00", "not JSON"),
    "deeply nested": (b'{"task": "digits", "inputs": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", "recursion limit"),
    "deeply nested, within the parser's limit": (digits(json.loads("[" * 150 + "]" * 150)), "is a list of 1"),
    "lone surrogate": (b'{"task": "\\ud800", "inputs": [1]}', "not JSON"),
    "pickle in JSON's clothes": (pickle.dumps({"task": "digits"}), "not JSON"),
    "an input's key twice": (
        b'{"task": "evolution", "inputs": [{"cp": 20, "hp": 50, "species": "Eevee", "cp": 800}]}',
        "the key 'cp' appears twice in one object",
    ),
    "a request's key twice": (
        b'{"task": "nope", "inputs": [1], "task": "evolution"}',
        "the key 'task' appears twice in one object",
    ),
    "trailing text": (evolution() + b" x", "not JSON: trailing characters"),
    "two documents": (evolution() * 2, "not JSON: trailing characters"),
    "a comment": (evolution() + b" // why", "not JSON: trailing characters"),
    "5,000 levels of objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "recursion limit"),
    "no task": (b'{"inputs": [1]}', "task: field required"),
    "task is a number": (b'{"task": 5, "inputs": [1]}', "task: input should be a valid string"),
    "no inputs": (b'{"task": "digits"}', "inputs: field required"),
    "inputs is null": (b'{"task": "digits", "inputs": null}', "inputs: input should be a valid list"),
    "inputs is an object": (b'{"task": "digits", "inputs": {}}', "inputs: input should be a valid list"),
    "empty inputs": (digits(), "inputs: list should have at least 1 item"),
    "too many inputs": (digits(*[0] * 257), "at most 256 items"),
    "extra key": (b'{"task": "digits", "inputs": [1], "guard": false}', "guard: unknown key"),
    "unknown task": (b'{"task": "dogs", "inputs": [1]}', "unknown task 'dogs'; tasks served: colours, digits, evol"),
    "overlong task": (json.dumps({"task": "x" * 10**6, "inputs": [1]}).encode(), "tasks served: colours, digits"),
    "image of 7 rows": (digits(GOOD[:7]), "input 0 is a list of 7; expected 8 rows of 8 pixels"),
    "ragged image": (digits([*GOOD[:7], [0.5]]), "input 0[7] is a list of 1"),
    "image one level too deep": (digits([GOOD]), "input 0[0][0] is a list of 8"),
    "image one level too flat": (digits(GOOD[0]), "input 0[0] is 0.5"),
    "image with three channels": (digits([[[0.5] * 3] * 8] * 8), "input 0[0][0] is a list of 3"),
    "empty image": (digits([]), "input 0 is a list of 0"),
    "image is a record": (digits(RECORD), "input 0 is an object of 3 keys"),
    "image is a number": (digits(5), "input 0 is 5"),
    "image is a string": (digits("abc"), "input 0 is 'abc'"),
    "pixel is a string": (digits(with_pixel("0.5")), "input 0[3][5] is '0.5'"),
    "pixel is a boolean": (digits(with_pixel(True)), "input 0[3][5] is True"),
    "pixel is null": (digits(with_pixel(None)), "input 0[3][5] is None"),
    "pixel is a list": (digits(with_pixel([0.5])), "input 0[3][5] is a list of 1"),
    "pixel above 1": (digits(with_pixel(1.0000001)), "input 0[3][5] is 1.0000001"),
    "pixel below 0": (digits(with_pixel(-1e-9)), "input 0[3][5] is -1e-09"),
    "pixel is NaN": (digits(with_pixel(float("nan"))), "input 0[3][5] is nan"),
    "pixel is Infinity": (digits(with_pixel(float("inf"))), "input 0[3][5] is inf"),
    "pixel is 1e400": (digits(with_pixel("@")).replace(b'"@"', b"1e400"), "input 0[3][5] is inf"),
    "pixel is 10**400": (digits(with_pixel(10**400)), "input 0[3][5] is 1000"),
    "pixel is 10**9999": (digits(with_pixel("@")).replace(b'"@"', b"1" + b"0" * 9999), "number out of range"),
    "bad neighbour": (digits(GOOD, GOOD, with_pixel(2), GOOD), "input 2[3][5] is 2"),
    "record is a list": (b'{"task": "evolution", "inputs": [[1, 2]]}', "expected an object with the keys cp, hp"),
    "record is a string": (b'{"task": "evolution", "inputs": ["cp"]}', "input 0 is 'cp'; expected an object"),
    "record lacks a column": (b'{"task": "evolution", "inputs": [{"cp": 1, "hp": 2}]}', "column 'species' is missing"),
    "record has another column": (evolution(weight=3), "unknown column 'weight'; expected cp, hp, species"),
    "unknown species": (evolution(species="Mew"), f"is 'Mew'; expected one of {', '.join(SPECIES)}"),
    "species is a number": (evolution(species=3), "is 3, not a text; expected one of 'Caterpie', 'Eevee'"),
    "species is a list": (evolution(species=["Eevee"]), "column 'species'"),
    "number is a string": (evolution(cp="300"), "column 'cp' is '300'; expected a finite number"),
    "number is a boolean": (evolution(cp=True), "column 'cp' is True"),
    "number is null": (evolution(cp=None), "column 'cp' is null"),
    "number is NaN": (evolution(cp=float("nan")), "column 'cp' is nan"),
    "number is -Infinity": (evolution(cp=float("-inf")), "column 'cp' is -inf"),
    "number is 1e39": (evolution(cp=1e39), "column 'cp' is 1e+39"),
    "number is 10**400": (evolution(cp=10**400), "column 'cp'"),
    "number too far for an answer": (evolution(cp=3e38, hp=-3e38), "input 0: the model has no finite answer"),
}


def refused(answer: httpx.Response, status: int, sentence: str) -> None:
    """Check an error answer: its status, the envelope, and what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json().values()
    assert set(error) == {"code", "message"}
    assert sentence in error["message"]
    assert "\n" not in error["message"]
    assert len(error["message"]) <= 500


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json(name: str, client: httpx.Client) -> None:
    body, sentence = BAD_JSON[name]
    refused(client.post("/predict", content=body, headers=JSON), 400, sentence)


TYPES = {
    "pickle": "application/vnd.bentoml+pickle",
    "octets": "application/octet-stream",
    "text": "text/plain",
    "form": "application/x-www-form-urlencoded",
    "upload": "multipart/form-data; boundary=x",
}


@pytest.mark.parametrize("name", TYPES)
def test_only_json_is_read(name: str, client: httpx.Client) -> None:
    answer = client.post("/predict", content=pickle.dumps(GOOD), headers={"content-type": TYPES[name]})
    refused(answer, 415, "/predict takes application/json")


def test_a_body_without_a_type_is_refused(client: httpx.Client) -> None:
    refused(client.post("/predict", content=digits(GOOD)), 415, "the content type is missing")


def test_null_stands_for_what_is_left_out(client: httpx.Client) -> None:
    body = {"task": "evolution", "inputs": [{"cp": 300.0, "hp": 50, "species": "Eevee"}], "certify": None, "eps": None}
    assert client.post("/predict", json=body).json()["certify"] == "budget"


def test_a_byte_order_mark_is_no_part_of_the_body(client: httpx.Client) -> None:
    assert client.post("/predict", content=b"\xef\xbb\xbf" + evolution(), headers=JSON).status_code == 200


@pytest.mark.parametrize(
    "kind", ["Application/JSON", 'application/json;charset="utf-8"', "application/json; charset=UTF8"]
)
def test_one_type_is_written_in_many_ways(kind: str, client: httpx.Client) -> None:
    assert client.post("/predict", content=evolution(), headers={"content-type": kind}).status_code == 200


CHARSETS = {
    "charset=utf-16": "utf-16",
    "charset=iso-8859-1": "iso-8859-1",
    'charset="latin-1"': "latin-1",
    "charset=''": "''",
    "charset=": "empty",
    "charset*=utf-8''utf-16": "utf-16",
}


@pytest.mark.parametrize("said", CHARSETS)
def test_another_charset_is_refused(said: str, client: httpx.Client) -> None:
    answer = client.post("/predict", content=evolution(), headers={"content-type": f"application/json; {said}"})
    refused(answer, 415, f"the charset is {CHARSETS[said]}; send UTF-8")


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    answer = client.post("/predict", content=gzip.compress(evolution()), headers={**JSON, "content-encoding": "gzip"})
    refused(answer, 415, "the content encoding is gzip; send the body uncompressed")


def test_large_headers_are_refused(client: httpx.Client) -> None:
    answer = client.post("/predict", content=evolution(), headers={**JSON, "x-trace": "x" * 20_000})
    refused(answer, 431, "the headers are larger than 16384 bytes")


@pytest.mark.parametrize("path", ["/predict", "/predict_image"])
def test_an_oversized_body_is_refused(path: str, client: httpx.Client) -> None:
    refused(client.post(path, content=b" " * (LIMITS.body + 1), headers=JSON), 413, f"larger than {LIMITS.body} bytes")


def test_an_oversized_body_of_undeclared_length_is_refused(client: httpx.Client) -> None:
    pieces = (b" " * 2**20 for _ in range(5))
    refused(client.post("/predict", content=pieces, headers=JSON), 413, "larger than")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/predict", "/predict_image"])
def test_wrong_method(method: str, path: str, client: httpx.Client) -> None:
    answer = client.request(method, path)
    sentence = "no calls from pages of another origin" if method == "OPTIONS" else "this path does not take that method"
    refused(answer, 405, sentence)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/static_content/../service.py", "/static_content/none.js"])
def test_unknown_path(path: str, client: httpx.Client) -> None:
    refused(client.get(path), 404, "GET /docs lists what there is")


def upload(client: httpx.Client, data: bytes, task: str = "digits") -> httpx.Response:
    """POST a file to /predict_image."""
    return client.post("/predict_image", files={"image": ("x.png", data)}, data={"task": task})


UPLOADS: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "not a PNG or JPEG image"),
    "text": (b"hello", "not a PNG or JPEG image"),
    "GIF": (encoded(Image.new("L", (8, 8)), "GIF"), "not a PNG or JPEG image"),
    "truncated PNG": (PNG[: len(PNG) // 2 + 8], "damaged or cut short"),
    "20,000 x 20,000 PNG": (bomb(20_000), "far too large"),
    "other proportions": (encoded(Image.new("L", (8, 5))), "crop it to the proportions 8 x 8"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_bad_upload(name: str, client: httpx.Client) -> None:
    data, sentence = UPLOADS[name]
    refused(upload(client, data), 400, sentence)


def part(name: str, text: str, file: bool = False) -> bytes:
    """One part of a form."""
    filename = '; filename="x.png"' if file else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n{text}\r\n'.encode()


END = b"--x--\r\n"
FORMS: dict[str, tuple[bytes, str]] = {
    "garbage": (b"garbage", "the form cannot be read"),
    "no parts": (END, "the form holds nothing"),
    "no task": (part("image", "x", file=True) + END, "the form holds image; expected a file 'image' and a text 'task'"),
    "no image": (part("task", "digits") + END, "the form holds task;"),
    "wrong name": (part("picture", "x", file=True) + part("task", "digits") + END, "the form holds picture, task"),
    "extra field": (
        part("image", "x", file=True) + part("task", "digits") + part("guard", "off") + END,
        "the form holds guard, image, task",
    ),
    "image twice": (part("image", "x", file=True) * 2 + part("task", "digits") + END, "holds image, image, task"),
    "many fields": (part("task", "digits") * 50 + END, "Too many fields"),
    "task is a file": (part("image", "x", file=True) + part("task", "digits", file=True) + END, "a text 'task'"),
    # BentoML's own reader would fetch it.
    "image is an address": (
        part("image", "http://127.0.0.1:9/x.png") + part("task", "digits") + END,
        "the part 'image' came as text",
    ),
    "unknown task": (part("image", "x", file=True) + part("task", "dogs") + END, "unknown task 'dogs'"),
    "task of records": (part("image", "x", file=True) + part("task", "evolution") + END, "takes records, not images"),
}


@pytest.mark.parametrize(
    "names",
    ["filename*=utf-8''%E6%95%B0.png", "filename=a.png; filename*=utf-8''b.png", "FileName* = utf-8''a%20b.png"],
)
def test_a_file_may_be_named_in_any_form(names: str, client: httpx.Client) -> None:
    head = f'--x\r\nContent-Disposition: form-data; name="image"; {names}\r\n\r\n'.encode()
    body = head + PNG + b"\r\n" + part("task", "digits") + END
    answer = client.post("/predict_image", content=body, headers=FORM)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", FORMS)
def test_bad_form(name: str, client: httpx.Client) -> None:
    body, sentence = FORMS[name]
    refused(client.post("/predict_image", content=body, headers=FORM), 400, sentence)


def test_records_are_answered_as_offline(client: httpx.Client, models: Path) -> None:
    model = GuardedModel.load(models / "evolution" / "champion")
    records = [RECORD, {**RECORD, "cp": 20, "species": "Caterpie"}]
    offline = model.predict(model.schema.encode(records), np.random.default_rng(0))
    answer = client.post("/predict", json={"task": "evolution", "inputs": records})
    assert answer.status_code == 200
    said = answer.json()
    assert list(said) == ["task", "model_digest", "certify", "predictions"]
    assert (said["task"], said["model_digest"]) == ("evolution", model.digest)
    for row, prediction in enumerate(said["predictions"]):
        assert list(prediction) == ["value", "adversarial_score", "flagged", "outside", "certified", "variants"]
        assert prediction["variants"]["plain"] == pytest.approx(float(offline.outputs[row, 0, 0]), rel=1e-6)
        assert prediction["adversarial_score"] == pytest.approx(float(offline.score[row]), rel=1e-5)
        assert prediction["flagged"] == bool(offline.flagged[row])


def test_images_are_answered_with_and_without_their_channel(client: httpx.Client) -> None:
    deep = np.array(GOOD)[..., None].tolist()
    first, second = client.post("/predict", content=digits(GOOD, deep), headers=JSON).json()["predictions"]
    assert first["adversarial_score"] == second["adversarial_score"]
    assert list(first) == ["label", "probabilities", "adversarial_score", "flagged", "outside", "certified", "variants"]


@pytest.mark.parametrize("certify", ["none", "budget", "radius"])
def test_what_lies_far_outside_is_flagged_and_has_no_certificate(certify: str, client: httpx.Client) -> None:
    far = [{**RECORD, "cp": -1_000_000}, {**RECORD, "hp": 1e9}]
    said = client.post("/predict", json={"task": "evolution", "inputs": far, "certify": certify}).json()["predictions"]
    assert [each["outside"] for each in said] == [["cp"], ["hp"]]
    assert all(each["flagged"] and each["certified"] is None for each in said)


def test_an_upload_is_answered_as_its_pixels(client: httpx.Client) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (8, 8), dtype=np.uint8)
    uploaded = upload(client, encoded(Image.fromarray(pixels))).json()
    listed = client.post("/predict", content=digits((pixels / 255).tolist()), headers=JSON).json()
    for key in ("adversarial_score", "flagged"):
        assert uploaded["predictions"][0][key] == pytest.approx(listed["predictions"][0][key], rel=1e-4)
    for variant in ("plain", "median", "squeezed"):
        assert uploaded["predictions"][0]["variants"][variant] == listed["predictions"][0]["variants"][variant]


def test_a_colour_upload_is_answered(client: httpx.Client) -> None:
    answer = upload(client, encoded(Image.new("RGB", (16, 12), (200, 30, 0)), "JPEG"), "colours")
    assert answer.json()["predictions"][0]["label"] in SCHEMAS["colours"].labels


def test_bad_requests_do_not_disturb_their_neighbours(client: httpx.Client) -> None:
    bodies = [digits(GOOD), digits(with_pixel(None)), evolution(), evolution(cp="x")] * 6
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: client.post("/predict", content=body, headers=JSON), bodies))
    assert [answer.status_code for answer in answers] == [200, 400, 200, 400] * 6


def test_a_refused_request_leaves_nothing_in_memory(asgi: httpx.Client) -> None:
    body = digits(*[[0.1] * 4001] * 8)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            refused(asgi.post("/predict", content=body, headers=JSON), 400, "input 0")
        assert not [kept for kept in gc.get_objects() if type(kept) is list and len(kept) == 4001]
    finally:
        gc.enable()


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["cp", "hp", "species", "x"]), inner),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=st.sampled_from(sorted(SCHEMAS)), inputs=st.lists(ANY, min_size=1, max_size=3))
def test_any_json_is_answered_or_refused(task: str, inputs: list[Any], asgi: httpx.Client) -> None:
    answer = asgi.post("/predict", content=json.dumps({"task": task, "inputs": inputs}).encode(), headers=JSON)
    if answer.status_code != 200:
        refused(answer, 400, "input")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_probes(path: str, client: httpx.Client) -> None:
    assert client.get(path).status_code == 200


def test_the_docs_page_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-light-32x32.png"):
        assert f"static_content/{name}" in page.text
        assert client.get(f"/static_content/{name}").status_code == 200


@pytest.mark.parametrize("task", SCHEMAS)
def test_documented_examples_are_answered(task: str, client: httpx.Client) -> None:
    answer = client.post("/predict", json={"task": task, "inputs": [example(SCHEMAS[task])]})
    assert answer.status_code == 200
