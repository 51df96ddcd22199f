"""The quick reader takes nothing that the typed one refuses, and reads the same numbers."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import BentoMLException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import strict_json
from serving.runtime import Runtime
from serving.schema import PredictRequest

# Where a number stands: what is one, and what NumPy would make one of.
GOOD = ["0", "1", "0.5", "1.0", "-0.0", "5e-1", "1E-3", "0.1000000014901161193847656", "1e-400", "0.3"]
BAD = ["true", "false", "null", '"0.5"', '""', "1e400", "-1e-9", "1.0000001", "[0.5]", "{}", "NaN", "01", ".5", "", "2"]
BLANKS = ["", " ", "\n", "\t "]

cells = st.sampled_from(GOOD * 12 + BAD)


@st.composite
def images(draw: st.DrawFn) -> str:
    """A body of images, as text: in order, or with something wrong in it."""
    pixel, blank = (cells if draw(st.booleans()) else st.sampled_from(GOOD)), draw(st.sampled_from(BLANKS))
    comma, width = f"{blank},{blank}", draw(st.sampled_from([8, 8, 8, 8, 7]))
    rows = [f"[{comma.join(draw(st.lists(pixel, min_size=width, max_size=width)))}]" for _ in range(8)]
    deep = "[" + comma.join(f"[{comma.join(['[0.5]'] * 8)}]" for _ in range(8)) + "]"
    flat = f"[{blank}{comma.join(rows)}]"
    inputs = [draw(st.sampled_from([flat, flat, flat, deep])) for _ in range(draw(st.integers(1, 20)))]
    separator = draw(st.sampled_from([comma, comma, comma, ",,", " "]))
    return body(draw, f"[{blank}{separator.join(inputs)}{blank}]", "digits")


@st.composite
def records(draw: st.DrawFn) -> str:
    """A body of records, as text."""
    number = cells | st.sampled_from(["300", "1e39", "12345678901234567890123"])
    species = st.sampled_from(['"Eevee"'] * 4 + ['"Mew"', "3", "null"])
    keys = st.sampled_from([("cp", "hp", "species")] * 6 + [("cp", "hp"), ("cp", "cp", "hp", "species")])
    made = [
        "{" + ",".join(f'"{key}": {draw(species if key == "species" else number)}' for key in draw(keys)) + "}"
        for _ in range(draw(st.integers(1, 12)))
    ]
    return body(draw, f"[{', '.join(made)}]", "evolution")


def body(draw: st.DrawFn, inputs: str, task: str) -> str:
    """The object round the inputs."""
    members = [f'"task": "{draw(st.sampled_from([task] * 9 + ["colours", "x]", "true"]))}"', f'"inputs": {inputs}']
    eps = [f'"eps": {each}' for each in ("[0.1, 2]", "[]", "[1e9]", "null", "0.1", '["1"]', "[true]", "[[1]]")]
    more = [['"certify": "none"'], ['"certify": "all"'], ['"task": "digits"'], ['"x": 1'], [eps[0]]]
    more += [[each] for each in eps] + [['"certify": "radius"', eps[0]]]
    members += draw(st.sampled_from([[]] * 8 + more))
    members = draw(st.permutations(members))
    return "{" + ", ".join(members) + draw(st.sampled_from(["}"] * 9 + ["} x", "", "}}"]))


def typed(served: Runtime, text: bytes) -> tuple[Any, ...] | None:
    """What the typed way makes of it."""
    try:
        request = PredictRequest.parse(text)
        return (request.task, *served.read(request))
    except BentoMLException:
        return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=images() | records(), large=st.booleans())
def test_what_it_takes_the_typed_way_takes_too(
    text: str, large: bool, loaded: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "LARGE", 0 if large else 2**30)
    found = asyncio.run(strict_json.read(text.encode(), loaded.champions))
    if found is None:
        return
    expected = typed(loaded, text.encode())
    assert expected is not None, "it took what is refused"
    assert found[:2] == expected[:2]
    assert found[2].dtype == expected[2].dtype == np.float32
    assert np.array_equal(found[2], expected[2])


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 33, 256])
@pytest.mark.parametrize("large", [False, True])
def test_what_is_in_order_is_read_the_quick_way(
    count: int, large: bool, loaded: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "LARGE", 0 if large else 2**30)
    inputs = np.random.default_rng(count).random((count, 8, 8)).tolist()
    text = json.dumps({"task": "digits", "certify": "radius", "inputs": inputs}).encode()
    found = asyncio.run(strict_json.read(text, loaded.champions))
    assert found is not None
    assert (found[0], found[1].certify) == ("digits", "radius")
    assert np.array_equal(found[2][..., 0], np.array(inputs, dtype=np.float32))


def test_records_in_order_are_read_the_quick_way(loaded: Runtime) -> None:
    text = json.dumps({"task": "evolution", "inputs": [{"cp": 300.5, "hp": 50, "species": "Eevee"}] * 20}).encode()
    found = asyncio.run(strict_json.read(text, loaded.champions))
    assert found is not None
    assert found[2].tolist() == [[300.5, 50.0, 0.0, 1.0]] * 20


def test_more_inputs_than_a_request_may_have_are_left_to_the_typed_way(loaded: Runtime) -> None:
    text = json.dumps({"task": "digits", "inputs": np.zeros((257, 8, 8)).tolist()}).encode()
    assert asyncio.run(strict_json.read(text, loaded.champions)) is None
