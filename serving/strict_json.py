"""The quick way from a request's bytes to the network's input, for requests that are in order.

What it takes, the typed way of `schema.PredictRequest` and `inputs.reader` takes too, with the same numbers. Of all
else it says nothing and leaves it to them: they find out what is wrong, or that nothing is.
"""

import asyncio
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.types import Floats
from redoubt.bundle.schema import Schema
from serving.answers import Ask, Champion
from serving.schema import CERTIFY, MAX_INPUTS, are_sizes

KEYS = {"task", "inputs", "certify", "eps"}
# Bytes above which a body is read a few inputs at a time, so that the event loop has its turn in between.
LARGE = 64 * 1024
TOGETHER = 8
OPEN, CLOSE = b"[]"

Read = tuple[str, Ask, Floats]


async def read(body: bytes, champions: Mapping[str, Champion]) -> Read | None:
    """Read a request.

    Returns:
        The task, what is asked, and float32 `(inputs, *schema.shape)`; None for what only the typed way may judge.
    """
    cut = _cut(body) if len(body) > LARGE else (body, None)
    said = None if cut is None else _object(cut[0])
    if cut is None or said is None:
        return None
    task, inputs, certify = said.get("task"), said.get("inputs"), said.get("certify", "budget")
    if not isinstance(task, str) or task not in champions:
        return None
    champion, sizes = champions[task], said.get("eps", [])
    fits = "eps" not in said or (certify == "budget" and are_sizes(sizes))
    if not fits or certify not in CERTIFY or not isinstance(inputs, list) or len(inputs) > MAX_INPUTS:
        return None
    parts = []
    for part in _parts(inputs, cut[1]):
        x = None if part is None else _inputs(part, champion.schema)
        if x is None:
            return None
        parts.append(x)
        if cut[1] is not None or len(inputs) > TOGETHER:
            await asyncio.sleep(0)
    if not parts:
        return None
    return task, Ask(champion, certify, tuple(sizes)), parts[0] if len(parts) == 1 else np.concatenate(parts)


def _object(text: bytes) -> dict[str, Any] | None:
    """An object of known keys, each once, that holds no true, false or text but what its own values are."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    text = _around_numbers(text)
    if not isinstance(said, dict) or not said.keys() <= KEYS or b"true" in text or b"false" in text:
        return None
    inputs = said.get("inputs")
    records = [each for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    # Every key has its colon: of one that stands there twice a reader keeps one value alone.
    if text.count(b":") != len(said) + sum(map(len, records)):
        return None
    # NumPy would make numbers of texts.
    texts = len(said) + sum(isinstance(value, str) for value in said.values())
    return said if records or text.count(b'"') == 2 * texts else None


def _around_numbers(text: bytes) -> bytes:
    """A request without what stands in its arrays, if no text, key, true or false does; else all of it."""
    first, last = text.find(b"["), text.rfind(b"]")
    # Looking for one byte is many times faster than counting or looking for several.
    if 0 <= first < last and all(text.find(sign, first, last) < 0 for sign in (b'"', b":", b"t", b"f")):
        return text[:first] + text[last:]
    return text


def _parts(inputs: list[Any], groups: list[bytes] | None) -> Iterator[list[Any] | None]:
    if groups is None:
        yield from (inputs[start : start + TOGETHER] for start in range(0, len(inputs), TOGETHER))
        return
    for group in groups:
        try:
            yield orjson.loads(b"[%b]" % group)
        except orjson.JSONDecodeError:
            yield None


def _inputs(values: list[Any], schema: Schema) -> Floats | None:
    if schema.kind != "image":
        try:
            return schema.encode(values) if all(isinstance(value, dict) for value in values) else None
        except InputError:
            return None
    try:
        pixels = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    height, width, channels = schema.shape
    flat = channels == 1 and pixels.shape[1:] == (height, width)
    # A null is NaN here, which no comparison holds for.
    if not (flat or pixels.shape[1:] == schema.shape) or not (pixels.min() >= 0.0 and pixels.max() <= 1.0):
        return None
    return pixels.astype(np.float32).reshape(len(values), *schema.shape)


def _cut(body: bytes) -> tuple[bytes, list[bytes]] | None:
    """Cut a body of nested arrays of numbers into the object without them, and a few of them at a time.

    Brackets, counted, say where each input ends; what lies between is parsed by whoever reads the parts.

    Returns:
        None if the arrays hold texts or objects, are more than one, too many, or do not end.
    """
    text = np.frombuffer(body, dtype=np.uint8)
    places = np.flatnonzero((text == OPEN) | (text == CLOSE))
    depth = np.cumsum(np.where(text[places] == OPEN, 1, -1))
    if not len(places) or depth[-1] != 0 or (depth[:-1] < 1).any():
        return None
    first, last = int(places[0]), int(places[-1])
    # The first of those is the opening bracket of all.
    ends = places[depth == 1][1:].tolist()
    if not 0 < len(ends) <= MAX_INPUTS or body.find(b'"', first, last) >= 0 or body.find(b"{", first, last) >= 0:
        return None
    edges, groups = [first, *ends[TOGETHER - 1 : -1 : TOGETHER], ends[-1]], []
    for start, end in pairwise(edges):
        group = body[start + 1 : end + 1].strip(b" \t\r\n")
        if start > first and not group.startswith(b","):
            return None
        groups.append(group[1:] if start > first else group)
    if body[ends[-1] + 1 : last].strip(b" \t\r\n") or _has_words(body, first, last):
        return None
    return body[: first + 1] + body[last:], groups


def _has_words(body: bytes, first: int, last: int) -> bool:
    return body.find(b"true", first, last) >= 0 or body.find(b"false", first, last) >= 0
