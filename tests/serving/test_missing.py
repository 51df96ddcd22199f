"""Null, and what is left out: it counts as the task declared, by every way into the service."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from redoubt.bundle.column import Column, Missing
from redoubt.bundle.schema import Schema
from tests.support.bundles import SCHEMAS, write_champion
from tests.support.process import serve

CP, HP, SPECIES = SCHEMAS["evolution"].columns
COLUMNS = (
    CP.model_copy(update={"missing": Missing(how="median", value=310.5)}),
    HP,
    Column(name="species", kind="category", categories=("Eevee", "other"), other="other"),
)
SCHEMA: Schema = SCHEMAS["evolution"].model_copy(update={"columns": COLUMNS})
FULL: dict[str, Any] = {"cp": 310.5, "hp": 50, "species": "other"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The service over one champion that declares what is missing and what is unknown."""
    folder = tmp_path_factory.mktemp("models")
    write_champion(folder / "evolution/champion", SCHEMA)
    with serve("serving.service:Redoubt", folder, tmp_path_factory.mktemp("missing")) as client:
        yield client


def predicted(client: httpx.Client, record: dict[str, Any]) -> Any:
    answer = client.post("/predict", json={"task": "evolution", "inputs": [record], "certify": "none"})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"][0]["variants"]["plain"]


@pytest.mark.parametrize(
    "record",
    [{**FULL, "cp": None}, {"hp": 50, "species": "other"}, {**FULL, "species": "Mew"}],
    ids=["null", "left-out", "unknown"],
)
def test_it_is_answered_as_what_it_counts_as(client: httpx.Client, record: dict[str, Any]) -> None:
    assert predicted(client, record) == predicted(client, FULL)


@pytest.mark.parametrize("record", [{**FULL, "hp": None}, {"cp": 310.5, "species": "other"}], ids=["null", "left-out"])
def test_what_nothing_was_declared_of_is_refused(client: httpx.Client, record: dict[str, Any]) -> None:
    answer = client.post("/predict", json={"task": "evolution", "inputs": [record]})
    assert answer.status_code == 400
    assert "column 'hp' is " in answer.json()["error"]["message"]


def tensors(cp: float | None) -> tuple[bytes, dict[str, str]]:
    """An inference request with a binary tensor, which can hold NaN; None leaves it out."""
    inputs: list[dict[str, Any]] = [
        {"name": "hp", "datatype": "FP64", "shape": [1, 1], "data": [50.0]},
        {"name": "species", "datatype": "BYTES", "shape": [1, 1], "data": ["other"]},
    ]
    if cp is not None:
        size = {"binary_data_size": 8}
        inputs.append({"name": "cp", "datatype": "FP64", "shape": [1, 1], "parameters": size})
    head = json.dumps({"inputs": inputs, "outputs": [{"name": "variants"}]}).encode()
    tail = b"" if cp is None else np.float64(cp).tobytes()
    return head + tail, {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}


def test_tensors_say_it_by_nan_or_by_leaving_it_out(client: httpx.Client) -> None:
    found = []
    for cp in (310.5, float("nan"), None):
        body, headers = tensors(cp)
        answer = client.post("/v2/models/evolution/infer", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["outputs"][0]["data"][0])
    assert found[0] == found[1] == found[2]


def test_tensors_as_json_say_it_by_null(client: httpx.Client) -> None:
    inputs = [
        {"name": "cp", "datatype": "FP64", "shape": [2, 1], "data": [310.5, None]},
        {"name": "hp", "datatype": "FP64", "shape": [2, 1], "data": [[50.0], [50.0]]},
        {"name": "species", "datatype": "BYTES", "shape": [2, 1], "data": ["other", "other"]},
    ]
    answer = client.post("/v2/models/evolution/infer", json={"inputs": inputs, "outputs": [{"name": "variants"}]})
    assert answer.status_code == 200, answer.text
    variants = np.array(answer.json()["outputs"][0]["data"]).reshape(2, -1)
    assert variants[0, 0] == variants[1, 0]
    inputs[1]["data"] = [50.0, None]
    answer = client.post("/v2/models/evolution/infer", json={"inputs": inputs})
    assert answer.status_code == 400
    assert "tensor 'hp': value 1 is None; expected a number" in answer.json()["error"]


def test_a_cell_of_csv_that_is_empty_says_it_too(client: httpx.Client) -> None:
    csv, headers = "cp,hp,species\n310.5,50,other\n,50,other\n", {"content-type": "text/csv"}
    answer = client.post("/invocations?task=evolution", content=csv, headers=headers)
    assert answer.status_code == 200, answer.text
    full, empty = (row["variants"]["plain"] for row in answer.json()["predictions"])
    assert full == empty


@pytest.mark.parametrize("word", [" Eevee", "Eevee\xa0", "Eevee\ufeff", "Eevee\t"], ids=ascii)
def test_blanks_around_a_category_mean_nothing_by_any_way(client: httpx.Client, word: str) -> None:
    plain = predicted(client, {**FULL, "species": "Eevee"})
    assert plain != predicted(client, FULL)
    assert predicted(client, {**FULL, "species": word}) == plain
    body, headers = f"cp,hp,species\n310.5,50,{word}\n", {"content-type": "text/csv"}
    answer = client.post("/invocations?task=evolution", content=body.encode(), headers=headers)
    assert answer.json()["predictions"][0]["variants"]["plain"] == plain, answer.text
    split = {"dataframe_split": {"columns": ["cp", "hp", "species"], "data": [[310.5, 50, word]]}}
    answer = client.post("/invocations?task=evolution", json=split)
    assert answer.json()["predictions"][0]["variants"]["plain"] == plain, answer.text
    inputs = [
        {"name": "cp", "datatype": "FP64", "shape": [1, 1], "data": [310.5]},
        {"name": "hp", "datatype": "FP64", "shape": [1, 1], "data": [50.0]},
        {"name": "species", "datatype": "BYTES", "shape": [1, 1], "data": [word]},
    ]
    answer = client.post("/v2/models/evolution/infer", json={"inputs": inputs, "outputs": [{"name": "variants"}]})
    assert answer.json()["outputs"][0]["data"][0] == plain, answer.text


def test_the_document_says_so(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    record = document["components"]["schemas"]["evolution_input"]
    assert record["required"] == ["hp", "species"]
    assert record["properties"]["cp"]["anyOf"][1] == {"type": "null", "description": "Counts as 310.5."}
    assert "enum" not in record["properties"]["species"]
