"""MLflow's forms of a request get the answers of /predict; everything else one sentence."""

import json
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server.client import dump_input_data

from serving import service

RECORDS = [{"cp": 300.0, "hp": 50.0, "species": "Eevee"}, {"cp": 20.0, "hp": 40.5, "species": "Caterpie"}]
COLUMNS = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
SPLIT = {"columns": list(COLUMNS), "data": [list(record.values()) for record in RECORDS]}
IMAGES = np.random.default_rng(4).random((2, 8, 8)).round(3).tolist()
TABLE: dict[str, Any] = {
    "split": {"dataframe_split": SPLIT},
    "split with an index": {"dataframe_split": {**SPLIT, "index": [0, 1]}},
    "records": {"dataframe_records": RECORDS},
    "instances": {"instances": RECORDS},
    "inputs by row": {"inputs": RECORDS},
    "inputs by column": {"inputs": COLUMNS},
    "what is not used, as null": {"instances": RECORDS, "inputs": None, "dataframe_split": None, "params": None},
    "null among the parameters": {
        "dataframe_split": {**SPLIT, "index": None},
        "params": {"certify": None, "eps": None},
    },
}


def invoke(client: httpx.Client, task: str, body: Any) -> httpx.Response:
    """POST a body for one task."""
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    headers = {"content-type": "application/json"}
    return client.post("/invocations", params={"task": task}, content=content, headers=headers)


def predicted(client: httpx.Client, task: str, inputs: Any) -> list[dict[str, Any]]:
    """What /predict says."""
    said: list[dict[str, Any]] = client.post("/predict", json={"task": task, "inputs": inputs}).json()["predictions"]
    return said


@pytest.mark.parametrize("name", TABLE)
def test_tables_are_answered_as_by_predict(name: str, client: httpx.Client) -> None:
    answer = invoke(client, "evolution", TABLE[name])
    assert answer.status_code == 200, answer.text
    (key, rows), *others = answer.json().items()
    assert (key, others) == ("predictions", [])
    for row, expected in zip(rows, predicted(client, "evolution", RECORDS), strict=True):
        assert list(row) == list(expected)
        assert row["variants"]["plain"] == expected["variants"]["plain"]
        assert (row["flagged"], row["outside"]) == (expected["flagged"], expected["outside"])


@pytest.mark.parametrize("key", ["instances", "inputs"])
@pytest.mark.parametrize("deep", [False, True])
def test_images_are_answered_as_by_predict(key: str, deep: bool, client: httpx.Client) -> None:
    inputs = np.array(IMAGES)[..., None].tolist() if deep else IMAGES
    answer = invoke(client, "digits", {key: inputs, "params": {"certify": "none"}})
    assert answer.status_code == 200, answer.text
    for row, expected in zip(answer.json()["predictions"], predicted(client, "digits", IMAGES), strict=True):
        assert row["adversarial_score"] == pytest.approx(expected["adversarial_score"], rel=1e-5)
        assert row["certified"] is None


def test_what_mlflows_client_sends_is_answered(client: httpx.Client) -> None:
    sent = dump_input_data(pd.DataFrame(RECORDS))
    assert len(invoke(client, "evolution", sent).json()["predictions"]) == 2
    sent = dump_input_data(np.array(IMAGES), params={"certify": "radius"})
    assert len(invoke(client, "digits", sent).json()["predictions"]) == 2


def test_what_lies_far_outside_is_flagged(client: httpx.Client) -> None:
    (row,) = invoke(client, "evolution", {"instances": [{**RECORDS[1], "cp": -1_000_000}]}).json()["predictions"]
    assert (row["flagged"], row["outside"], row["certified"]) == (True, ["cp"], None)


def test_a_header_names_the_task_too(client: httpx.Client) -> None:
    headers = {"X-Redoubt-Task": "evolution"}
    assert client.post("/invocations", json={"instances": RECORDS}, headers=headers).status_code == 200
    both = client.post("/invocations?task=digits", json={"instances": RECORDS}, headers=headers)
    assert both.status_code == 400
    assert "2 tasks are named; expected one" in both.json()["error"]["message"]


def test_the_only_task_needs_no_name(asgi: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = service.Redoubt.desk
    only = {"evolution": desk.runtime.champions["evolution"]}
    monkeypatch.setattr(desk, "runtime", replace(desk.runtime, champions=only))
    assert asgi.post("/invocations", json={"instances": RECORDS}).status_code == 200


# name: (status, task, body, a piece of the sentence)
BAD: dict[str, tuple[int, str, Any, str]] = {
    "another task": (404, "dogs", {"instances": [1]}, "unknown task 'dogs'; tasks served: colours, digits, evolution"),
    "not JSON": (400, "digits", b"{", "the body is not JSON"),
    "a list": (400, "digits", [], "the body is a list of 0; expected an object with exactly one of dataframe_split"),
    "nothing": (400, "digits", {}, "none came; expected exactly one of dataframe_split, dataframe_records, instances"),
    "two forms": (400, "digits", {"inputs": [], "instances": []}, "instances and inputs came; expected exactly one"),
    "an unknown key": (400, "digits", {"data": [1]}, "data: unknown key"),
    "a key twice": (400, "digits", b'{"inputs": [1], "inputs": [2]}', "the key 'inputs' appears twice in one object"),
    "a column twice": (
        400,
        "evolution",
        b'{"instances": [{"cp": 1, "hp": 2, "species": "Eevee", "cp": 3}]}',
        "the key 'cp' appears twice in one object",
    ),
    "a row's column twice": (
        400,
        "evolution",
        {"dataframe_split": {"columns": ["cp", "cp"], "data": [[1, 2]]}},
        "dataframe_split: a column is named twice",
    ),
    "a short row": (
        400,
        "evolution",
        {"dataframe_split": {"columns": ["cp", "hp"], "data": [[1, 2], [1]]}},
        "input 1 has 1 values; expected 2",
    ),
    "an index of another length": (
        400,
        "evolution",
        {"dataframe_split": {**SPLIT, "index": [0]}},
        "dataframe_split: the index names 1 rows; expected 2, as data holds",
    ),
    "columns of other lengths": (400, "evolution", {"inputs": {"cp": [1], "hp": []}}, "columns of 2 different lengths"),
    "no columns": (400, "evolution", {"inputs": {}}, "columns of 0 different lengths"),
    "no inputs": (400, "evolution", {"inputs": []}, "0 inputs came; expected 1 to 256"),
    "too many": (400, "evolution", {"inputs": RECORDS * 129}, "258 inputs came; expected 1 to 256"),
    "null": (400, "evolution", {"inputs": None}, "none came"),
    "a text": (400, "evolution", {"inputs": "x"}, "inputs."),
    "unknown params": (400, "evolution", {"inputs": RECORDS, "params": {"x": 1}}, "params.x: unknown key"),
    "records of images": (
        400,
        "digits",
        {"dataframe_records": [{}]},
        "the task takes images; send them as instances or inputs",
    ),
    "an image as a table": (400, "digits", {"inputs": {"a": [1]}}, "input 0 is an object of 1 keys; expected 8 rows"),
    "a pixel above 1": (400, "digits", {"instances": [[[2.0] * 8] * 8]}, "input 0[0][0] is 2.0; expected 8 rows"),
    "a pixel of null": (400, "digits", {"instances": [[[None] * 8] * 8]}, "input 0[0][0] is None; expected 8 rows"),
    "10**400": (400, "digits", {"instances": [[[10**400] * 8] * 8]}, "input 0[0][0] is 1000"),
    "a ragged image": (400, "digits", {"instances": [[[0.5] * 8] * 7]}, "input 0 is a list of 7; expected 8 rows"),
    "an unknown column": (400, "evolution", {"inputs": [{"x": 1}]}, "input 0: column 'cp' is missing"),
    "a number of null": (400, "evolution", {"inputs": [{**RECORDS[0], "cp": None}]}, "column 'cp' is null"),
    "a row without names": (400, "evolution", {"instances": [[1, 2, 3]]}, "input 0 is a list of 3; expected an object"),
    "too far for an answer": (400, "evolution", {"inputs": [{**RECORDS[0], "cp": 3e38, "hp": -3e38}]}, "no finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(name: str, asgi: httpx.Client) -> None:
    status, task, body, sentence = BAD[name]
    answer = invoke(asgi, task, body)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]["message"]


def test_who_names_no_task_is_told_which_there_are(client: httpx.Client) -> None:
    answer = client.post("/invocations", json={"instances": RECORDS})
    assert answer.status_code == 400
    assert "tasks served: colours, digits, evolution" in answer.json()["error"]["message"]


def test_other_types_and_methods_are_refused(client: httpx.Client) -> None:
    xml = client.post("/invocations?task=evolution", content="<a/>", headers={"content-type": "text/xml"})
    assert (xml.status_code, xml.headers["content-type"]) == (415, "application/json")
    answer = client.get("/invocations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def csv(client: httpx.Client, content: str | bytes, task: str = "evolution") -> httpx.Response:
    headers = {"content-type": "text/csv"}
    return client.post("/invocations", params={"task": task}, content=content, headers=headers)


def test_what_pandas_writes_as_csv_is_answered_as_by_predict(client: httpx.Client) -> None:
    table = pd.DataFrame(RECORDS)
    for content in (table.to_csv(index=False), table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")):
        answer = csv(client, content)
        assert answer.status_code == 200, answer.text
        expected = predicted(client, "evolution", RECORDS)
        for row, other in zip(answer.json()["predictions"], expected, strict=True):
            assert row["variants"]["plain"] == other["variants"]["plain"]


BAD_CSV: dict[str, tuple[str | bytes, str]] = {
    "an empty line": ("\n", "0 inputs came; expected 1 to 256"),
    "no record": ("cp,hp,species\n", "0 inputs came; expected 1 to 256"),
    "a column twice": ("cp,cp\n1,2\n", "the CSV names a column twice"),
    "a short line": ("cp,hp,species\n1,2,Eevee\n1\n", "input 1 has 1 values; expected 3"),
    "no number": ("cp,hp,species\nx,2,Eevee\n", "input 0: column 'cp' is"),
    "not a finite number": ("cp,hp,species\nnan,2,Eevee\n", "input 0: column 'cp' is"),
    "a number as Python writes it": ("cp,hp,species\n1_0,2,Eevee\n", "input 0: column 'cp' is '1_0'"),
    "10**400": ("cp,hp,species\n1" + "0" * 400 + ",2,Eevee\n", "input 0: column 'cp' is"),
    "an empty cell": ("cp,hp,species\n,2,Eevee\n", "input 0: column 'cp' is null"),
    "an unknown category": ("cp,hp,species\n1,2,Mew\n", "species"),
    "an open quote": ('cp,hp,species\n"1,2,Eevee\n', "the body is not CSV"),
    "another encoding": ("cp,hp,species\n1,2,é\n".encode("latin-1"), "the body is not CSV"),
    "nothing but a mark": (b"\xef\xbb\xbf", "the body is not CSV: it has no line of column names"),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv(name: str, asgi: httpx.Client) -> None:
    content, sentence = BAD_CSV[name]
    answer = csv(asgi, content)
    assert answer.status_code == 400, answer.text
    assert sentence in answer.json()["error"]["message"]


def test_images_do_not_come_as_csv(asgi: httpx.Client) -> None:
    answer = csv(asgi, "a\n1\n", "digits")
    assert answer.status_code == 400
    assert "takes images; send them as instances or inputs" in answer.json()["error"]["message"]


def test_a_line_of_csv_ends_at_its_end_alone(client: httpx.Client) -> None:
    """And not at what Python takes for one: such a sign stood in a cell, and made two inputs of one."""
    content = "cp,hp,species\n300,50,\x0bEevee\u2028\r\n20,40.5,Caterpie\x85\r20,40.5,\x1cCaterpie"
    answer = csv(client, content.encode())
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 3


def test_ping(client: httpx.Client) -> None:
    assert client.get("/ping").status_code == 200
    assert client.post("/ping").status_code == 405
