"""Certificates at several eps in one pass: how they are asked for, answered and refused, by each way in."""

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

IMAGE = np.full((8, 8), 0.5).tolist()
RECORD = {"cp": 300.0, "hp": 50, "species": "Eevee"}


def upload(client: httpx.Client, **texts: str) -> httpx.Response:
    file = io.BytesIO()
    Image.new("L", (8, 8), 128).save(file, "PNG")
    return client.post("/predict_image", data={"task": "digits", **texts}, files={"image": ("x.png", file.getvalue())})


def test_each_eps_that_was_asked_for_is_named_in_the_answer(client: httpx.Client) -> None:
    asked = {"task": "digits", "inputs": [IMAGE, IMAGE], "eps": [0.3, 0.001]}
    answers = [
        client.post("/predict", json=asked),
        client.post("/invocations?task=digits", json={"instances": [IMAGE], "params": {"eps": [0.3, 0.001]}}),
        upload(client, eps="0.3,0.001"),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        for row in answer.json()["predictions"]:
            assert [at["eps"] for at in row["certified"]["at"]] == [0.3, 0.001]
            assert row["certified"]["at"][0]["holds"] <= row["certified"]["at"][1]["holds"]


def test_of_a_number_the_interval_at_each_eps_holds_those_of_smaller_ones(client: httpx.Client) -> None:
    sent = {"task": "evolution", "inputs": [RECORD], "eps": [0.05, 0.2]}
    (row,) = client.post("/predict", json=sent).json()["predictions"]
    small, large = row["certified"]["at"]
    assert large["low"] < row["certified"]["low"] < small["low"] < row["value"]
    assert row["value"] < small["high"] < row["certified"]["high"] < large["high"]
    outside = {"task": "evolution", "inputs": [{**RECORD, "cp": -1_000_000}], "eps": [0.05]}
    assert client.post("/predict", json=outside).json()["predictions"][0]["certified"] is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"eps": []}, "eps: list should have at least 1 item"),
        ({"eps": [0.1] * 9}, "eps: list should have at most 8 items"),
        ({"eps": 0.1}, "eps: input should be a valid list"),
        ({"eps": [0]}, "eps: input should be greater than or equal to 0.000001"),
        ({"eps": [True]}, "eps: input should be a valid number"),
        ({"eps": ["0.1"]}, "eps: input should be a valid number"),
        ({"eps": [0.1], "certify": "radius"}, "eps: expected certify budget with it"),
        ({"eps": [0.1], "certify": "none"}, "eps: expected certify budget with it"),
    ],
)
def test_what_is_no_eps_is_said(more: dict[str, Any], why: str, asgi: httpx.Client) -> None:
    answers = [asgi.post("/predict", json={"task": "digits", "inputs": [IMAGE], **more})]
    answers.append(asgi.post("/invocations?task=digits", json={"instances": [IMAGE], "params": more}))
    for answer in answers:
        assert answer.status_code == 400
        assert why.partition(": ")[2] in answer.json()["error"]["message"]


@pytest.mark.parametrize("eps", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_an_eps_that_is_no_finite_number_is_said(eps: str, asgi: httpx.Client) -> None:
    sent = json.dumps({"task": "digits", "inputs": [IMAGE]})
    body, params = (
        f'{sent[:-1]}, "eps": [{eps}]}}',
        f'{{"instances": [{json.dumps(IMAGE)}], "params": {{"eps": [{eps}]}}}}',
    )
    for path, content in (("/predict", body), ("/invocations?task=digits", params)):
        answer = asgi.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].endswith(": input should be a finite number")


@pytest.mark.parametrize("eps", ["x", "0.1;0.2", "nan", "1_0", "١", "0x1p0", "1e9", ",".join(["0.1"] * 9)])
def test_a_forms_eps_that_are_none_are_said(eps: str, asgi: httpx.Client) -> None:
    answer = upload(asgi, eps=eps)
    assert answer.status_code == 400
    assert "expected 1 to 8 numbers from 1e-06 to 1e+06, with commas" in answer.json()["error"]["message"]
    assert "with it" in upload(asgi, eps="0.1", certify="radius").json()["error"]["message"]


@pytest.mark.parametrize("name", ["certify", "eps"])
def test_a_text_that_comes_as_a_file_is_said(name: str, asgi: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8), 128).save(file, "PNG")
    files = {"image": ("x.png", file.getvalue()), name: ("x.txt", b"none")}
    answer = asgi.post("/predict_image", data={"task": "digits"}, files=files)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"the part '{name}' came as a file; send it as a text"
