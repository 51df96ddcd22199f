"""A model of dates is asked with the date itself, or with its parts, by every protocol that has names."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from redoubt.bundle.column import Column
from redoubt.bundle.dates import Dated
from redoubt.bundle.schema import Schema
from serving.openapi import document
from tests.support.bundles import write_champion
from tests.support.process import serve

ORDERS = Schema(
    task="orders",
    kind="regression",
    target="days",
    columns=(
        Column(name="size", kind="number"),
        Column(name="spend", kind="number"),
        Column(name="at_month", kind="integer", immutable=True),
        Column(name="at_hour", kind="integer", immutable=True),
    ),
    shape=(4,),
    dates=(Dated(name="at", parts=("month", "hour"), start=date(2021, 3, 1)),),
)
NUMBERS = {"size": 100.0, "spend": 30.5}
BY_PARTS = {**NUMBERS, "at_month": 5, "at_hour": 17}
BY_DATE = {**NUMBERS, "at": "2024-05-31T17:20"}
ELSEWHERE = {**NUMBERS, "at": "2024-06-01T02:20:00+09:00"}


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    models = tmp_path_factory.mktemp("dated")
    write_champion(models / "orders" / "champion", ORDERS)
    with serve("serving.service:Redoubt", models, tmp_path_factory.mktemp("server")) as client:
        yield client


def predicted(orders: httpx.Client, *records: dict[str, Any]) -> list[float]:
    answer = orders.post("/predict", json={"task": "orders", "inputs": list(records)})
    assert answer.status_code == 200, answer.text
    # Votes draw noise anew; the plain variant does not.
    return [each["variants"]["plain"] for each in answer.json()["predictions"]]


def test_a_date_or_its_parts(orders: httpx.Client) -> None:
    by_parts, by_date, elsewhere, other = predicted(
        orders, BY_PARTS, BY_DATE, ELSEWHERE, {**NUMBERS, "at": "2024-11-30T03:00"}
    )
    assert by_parts == by_date == elsewhere != other


@pytest.mark.parametrize("at", ["31.05.2024", 20240531, None, "soon", ["2024-05-31"]])
def test_what_is_no_date_is_refused(orders: httpx.Client, at: object) -> None:
    answer = orders.post("/predict", json={"task": "orders", "inputs": [{**NUMBERS, "at": at}]})
    assert answer.status_code == 400
    assert "input 0: column 'at" in answer.text


def test_the_other_protocols(orders: httpx.Client) -> None:
    expected = predicted(orders, BY_PARTS)
    split = {"columns": list(BY_DATE), "data": [list(BY_DATE.values())]}
    text = ",".join(BY_DATE) + "\n" + ",".join(map(str, BY_DATE.values())) + "\n"
    bodies: list[dict[str, Any]] = [
        {"json": {"dataframe_records": [BY_DATE]}},
        {"json": {"dataframe_split": split}},
        {"content": text, "headers": {"content-type": "text/csv"}},
    ]
    for body in bodies:
        answer = orders.post("/invocations", params={"task": "orders"}, **body)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        assert found["variants"]["plain"] == expected[0]


def test_the_description_says_so_and_its_examples_are_answered(orders: httpx.Client) -> None:
    told = document([ORDERS])
    record = Draft202012Validator({**told, "$ref": "#/components/schemas/orders_input"})
    for fits in (BY_PARTS, BY_DATE):
        record.validate(fits)
    assert not record.is_valid({**NUMBERS, "at": 20240531})
    for path in ("/predict", "/invocations", "/v2/models/{model}/infer"):
        examples = told["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"]
        where = path.format(model="orders")
        answer = orders.post(where, params={"task": "orders"}, json=examples["orders"]["value"])
        assert answer.status_code == 200, answer.text
