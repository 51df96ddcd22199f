"""What is sent to a service, what is made of its answers, and what is said where it gives none."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_callable
from redoubt.attacks.query import Oracle
from redoubt.attacks.square import Square
from redoubt.bundle.base.errors import InputError
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import PIXELS
from redoubt.scenarios.endpoint import MAX_BODY, Endpoint, EndpointError
from tests.support.tiny import IMAGE, NUMBER, SCHEMAS, TABLE

Answer = Callable[[dict[str, Any]], httpx.Response]
URL = "http://service.test"


def client(answer: Answer) -> httpx.Client:
    """A service that gives these answers to its requests' bodies."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/predict")
        assert request.headers["content-type"] == "application/json"
        assert len(request.content) < 4 * 1024 * 1024
        return answer(json.loads(request.content))

    return httpx.Client(transport=httpx.MockTransport(handle), base_url=URL)


def predictions(*each: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"task": "bars", "predictions": each})


def bars(body: dict[str, Any]) -> httpx.Response:
    """The three bars by how bright the first pixel is."""
    firsts = [image[0][0][0] for image in body["inputs"]]
    chances = [{"top": p, "middle": 0.0, "bottom": 1 - p} for p in firsts]
    return predictions(*({"label": max(p, key=p.__getitem__), "probabilities": p} for p in chances))


@pytest.mark.parametrize(
    ("shape", "rows", "requests"),
    [((6, 6, 1), 3, [3]), ((6, 6, 1), 600, [256, 256, 88]), ((64, 64, 3), 30, [15, 15])],
    ids=["few", "many", "large"],
)
def test_images_arrive_exactly_in_few_requests(shape: tuple[int, int, int], rows: int, requests: list[int]) -> None:
    seen: list[list[Any]] = []

    def answer(body: dict[str, Any]) -> httpx.Response:
        assert body["task"] == "bars"
        seen.append(body["inputs"])
        return bars(body)

    x = np.random.default_rng(0).random((rows, *shape), np.float32)
    schema = SCHEMAS[IMAGE].model_copy(update={"shape": shape})
    scores = Endpoint(client(answer), schema)(x)
    assert np.array_equal(np.array([image for part in seen for image in part], np.float32), x)
    assert len(seen) <= len(requests) + 3
    if shape[0] == 6:
        assert [len(part) for part in seen] == requests
    assert np.allclose(np.exp(scores[:, 0]), x[:, 0, 0, 0])
    assert (scores.shape, scores.dtype, bool(np.isfinite(scores).all())) == ((rows, 3), np.float32, True)


def test_a_body_stays_below_the_limit() -> None:
    assert MAX_BODY + 100_000 < 4 * 1024 * 1024


RECORDS = Schema(
    task="risk",
    kind="regression",
    target="risk",
    shape=(5,),
    columns=(
        Column(name="weight", kind="number"),
        Column(name="colour", kind="category", categories=("red", "green", "blue")),
        Column(name="count", kind="integer"),
    ),
)


def test_rows_of_a_table_arrive_as_records() -> None:
    x = np.float32([[0.1, 0, 1, 0, 3], [-4e3, 0, 0, 1, 7]])

    def answer(body: dict[str, Any]) -> httpx.Response:
        assert [record["colour"] for record in body["inputs"]] == ["green", "blue"]
        assert np.array_equal(RECORDS.encode(body["inputs"]), x)
        return predictions({"value": 5.5}, {"value": -1})

    scores = Endpoint(client(answer), RECORDS)(x)
    assert (scores.tolist(), scores.dtype) == ([[5.5], [-1.0]], np.float32)


@pytest.mark.parametrize("colour", [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0]], ids=str)
def test_what_is_no_category_is_not_sent(colour: list[float]) -> None:
    with pytest.raises(InputError, match="input 0: column 'colour' holds .*; expected one 1, the rest 0"):
        Endpoint(URL, RECORDS)(np.float32([[1, *colour, 2]]))


def test_no_rows_no_request() -> None:
    def answer(_: dict[str, Any]) -> httpx.Response:
        pytest.fail("asked")

    assert Endpoint(client(answer), SCHEMAS[IMAGE])(np.zeros((0, 6, 6, 1), np.float32)).shape == (0, 3)
    assert Endpoint(client(answer), RECORDS)(np.zeros((0, 5), np.float32)).shape == (0, 1)


def test_labels_alone() -> None:
    x = np.zeros((2, 6, 6, 1), np.float32)
    x[0] = 0.9
    scores = Endpoint(
        client(lambda body: predictions({"label": "top"}, {"label": "bottom"})), SCHEMAS[IMAGE], labels_only=True
    )(x)
    assert scores.argmax(axis=1).tolist() == [0, 2]
    assert scores.max(axis=1).tolist() == [0, 0]
    with pytest.raises(EndpointError, match="task 'price' answers numbers; labels_only is for tasks with classes"):
        Endpoint(URL, SCHEMAS[NUMBER], labels_only=True)


REFUSALS: dict[str, tuple[Answer, str]] = {
    "envelope": (
        lambda _: httpx.Response(400, json={"error": {"code": "bad_request", "message": "unknown task 'bars'"}}),
        f"{URL}.* refuses with status 400: unknown task 'bars'",
    ),
    "bare words": (lambda _: httpx.Response(502, text="Bad Gateway"), "status 502: Bad Gateway"),
    "nothing": (lambda _: httpx.Response(503), "status 503: an empty body"),
    "not JSON": (lambda _: httpx.Response(200, text="<html>"), "answers no list of 2 predictions: <html>"),
    "a list": (lambda _: httpx.Response(200, json=[1]), "answers no list of 2 predictions"),
    "too few": (lambda _: predictions({"label": "top"}), "answers no list of 2 predictions"),
    "a number": (lambda _: predictions({"value": 1}, {"value": 1}), "something else than the classes top, middle"),
    "other classes": (
        lambda _: predictions(*[{"probabilities": {"cat": 1.0}}] * 2),
        "something else than the classes .*KeyError: 'top'.*; is the schema the served model's",
    ),
    "no numbers": (
        lambda _: predictions(*[{"probabilities": dict.fromkeys(("top", "middle", "bottom"), "x")}] * 2),
        "something else than the classes",
    ),
    "null": (lambda _: httpx.Response(200, json={"predictions": [None, None]}), "something else than the classes"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_passed_on(name: str) -> None:
    answer, says = REFUSALS[name]
    with pytest.raises(EndpointError, match=says):
        Endpoint(client(answer), SCHEMAS[IMAGE])(np.zeros((2, 6, 6, 1), np.float32))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "service", "ftp://127.0.0.1"])
def test_a_url_where_nothing_is(url: str) -> None:
    with Endpoint(url, SCHEMAS[TABLE]) as endpoint, pytest.raises(EndpointError, match="cannot be reached .*running"):
        endpoint(np.float32([[1, 2, 0, 1]]))


def test_what_is_no_url() -> None:
    with pytest.raises(EndpointError, match="'http://h:x' is not a URL"):
        Endpoint("http://h:x", SCHEMAS[TABLE])


def test_only_the_connection_it_opened_is_closed() -> None:
    given = client(bars)
    with Endpoint(given, SCHEMAS[IMAGE]):
        pass
    assert not given.is_closed
    with Endpoint(URL, SCHEMAS[IMAGE]) as endpoint:
        pass
    assert endpoint._client.is_closed


def test_a_service_that_dies_under_attack_leaves_what_was_won() -> None:
    """An image's brightness decides; half of them can be darkened enough before the service goes away."""
    calls = 0

    def answer(body: dict[str, Any]) -> httpx.Response:
        nonlocal calls
        calls += 1
        chances = [float(np.mean(image)) for image in body["inputs"]]
        each = ({"probabilities": {"top": p, "middle": 0.0, "bottom": 1 - p}} for p in chances)
        return predictions(*each) if calls < 20 else httpx.Response(503, text="gone")

    oracle = Oracle(Endpoint(client(answer), SCHEMAS[IMAGE]))
    x = np.full((6, 6, 6, 1), 0.55, np.float32)
    x[3:] = 0.95
    problem = AttackProblem(of_callable(oracle, 3), Untargeted(), "linf", PIXELS)
    with pytest.raises(EndpointError, match="status 503: gone") as error:
        Square().count(problem, x, np.zeros(6, int), eps=0.2, seed=0)
    kept = error.value.so_far
    assert kept is not None
    assert (kept.x_adv != x).any(axis=(1, 2, 3)).tolist() == [True] * 3 + [False] * 3
    assert kept.queries[3:].tolist() == [18] * 3
    assert oracle.queries == kept.queries.sum() + 6
