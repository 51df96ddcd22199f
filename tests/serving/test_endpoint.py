"""The project's own service as an attacker meets it: over HTTP, in process and as a real server."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_callable
from redoubt.attacks.hopskipjump import HopSkipJump
from redoubt.attacks.query import Oracle
from redoubt.attacks.square import Square
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.core.types import PIXELS, Batch, Bounds, Floats
from redoubt.scenarios.endpoint import Endpoint, EndpointError
from redoubt.targets.contract import Opening
from redoubt.targets.reading import read_answers
from redoubt.targets.url import Questions
from redoubt.targets.wire import find_wire
from tests.support.bundles import SCHEMAS

DIGITS = np.random.default_rng(0).random((300, 8, 8, 1), np.float32)
RECORDS = np.float32([[300.1, 50, 0, 1], [20, 11, 1, 0]])
BOX = Bounds(np.float32([10, 10, 0, 0]), np.float32([900, 90, 1, 1]), np.float32([200, 20, 0, 0]))


def vote(models: Path, task: str, x: Floats) -> Floats:
    """The same model's answer without a service."""
    return GuardedModel.load(models / task / "champion").predict(x, np.random.default_rng(0)).vote


def test_probabilities_arrive_as_their_logarithms(client: httpx.Client, models: Path) -> None:
    scores = Endpoint(client, SCHEMAS["digits"])(DIGITS)
    assert np.allclose(np.exp(scores).sum(axis=1), 1, atol=1e-4)
    # The service draws its own noise, so the answers agree but roughly.
    assert np.abs(np.exp(scores) - vote(models, "digits", DIGITS)).mean() < 0.02
    labels = Endpoint(client, SCHEMAS["digits"], labels_only=True)(DIGITS)
    assert np.mean(labels.argmax(axis=1) == scores.argmax(axis=1)) > 0.8


@pytest.mark.parametrize("protocol", ["redoubt", "oip", "mlflow"])
def test_an_audit_asks_by_any_of_its_protocols(asgi: httpx.Client, models: Path, protocol: str) -> None:
    """And finds out that the guard draws anew for the same input."""
    expected, some = vote(models, "digits", DIGITS), Batch(DIGITS[:8], np.zeros(8, np.int64))
    opening = Opening(some, SCHEMAS["digits"].labels, protocol=protocol, model="digits")
    questions = Questions(asgi, find_wire(asgi, asgi.base_url, opening), "the service", None)
    reading = read_answers(questions, opening, "the service")
    assert (reading.form, reading.width) == ("probabilities", 10)
    scores, again = (reading(questions(DIGITS[:64]), 64) for _ in range(2))
    assert np.abs(np.exp(scores) - expected[:64]).mean() < 0.02
    assert not np.array_equal(scores, again)


def test_values_arrive(client: httpx.Client, models: Path) -> None:
    values = Endpoint(client, SCHEMAS["evolution"])(RECORDS)
    assert np.allclose(values, vote(models, "evolution", RECORDS), rtol=0.1, atol=5)


def test_a_service_is_attacked_by_its_url(http: httpx.Client) -> None:
    with Endpoint(str(http.base_url), SCHEMAS["evolution"]) as endpoint:
        oracle = Oracle(endpoint)
        y = endpoint(RECORDS)[:, 0]
        problem = AttackProblem(of_callable(oracle, 1), Tolerance(10.0), "linf", BOX)
        done = Square(queries=20).count(problem, RECORDS, y, eps=0.2, seed=0)
        answers = endpoint(done.x_adv)[:, 0]
    # The service draws its own noise: which way a record moves differs from run to run, how far its answer does not.
    assert (np.abs(answers - y) > 2).all()
    assert oracle.queries == done.queries.sum() + 2


@pytest.mark.parametrize("attack", [Square(queries=60), HopSkipJump(queries=60, samples=10)], ids=["scores", "labels"])
def test_a_service_is_attacked_in_process(asgi: httpx.Client, attack: Square | HopSkipJump) -> None:
    endpoint = Endpoint(asgi, SCHEMAS["digits"], labels_only=isinstance(attack, HopSkipJump))
    # Dark but for a few pixels: of several classes, unlike plain noise, which has but one.
    x = DIGITS[:20] ** 12
    y = endpoint(x).argmax(axis=1)
    assert len(set(y.tolist())) > 2
    done = attack.count(AttackProblem(of_callable(endpoint, 10), Untargeted(), "l2", PIXELS), x, y, eps=2.0, seed=0)
    assert (endpoint(done.x_adv).argmax(axis=1) != y).mean() > 0.5


def test_what_the_service_says_is_passed_on(client: httpx.Client) -> None:
    stranger = SCHEMAS["digits"].model_copy(update={"task": "dogs"})
    with pytest.raises(
        EndpointError, match="status 400: unknown task 'dogs'; tasks served: colours, digits, evolution"
    ):
        Endpoint(client, stranger)(DIGITS[:1])
    with pytest.raises(EndpointError, match=r"status 400: input 0\[0\]\[0\]\[0\] is 1.5; expected 8 rows"):
        Endpoint(client, SCHEMAS["digits"])(DIGITS[:1] * 0 + 1.5)
