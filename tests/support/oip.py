"""Requests of the Open Inference Protocol for the tiny bundles."""

import json
import struct
from typing import Any

import httpx
import numpy as np

LENGTH = "Inference-Header-Content-Length"
PIXELS = np.random.default_rng(5).random((2, 8, 8, 1), dtype=np.float32)
RECORDS = [{"cp": 300.0, "hp": 50.0, "species": "Eevee"}, {"cp": 20.0, "hp": 40.5, "species": "Caterpie"}]


def image(**changes: Any) -> dict[str, Any]:
    """The tensor of two images, changed as told."""
    return {
        "name": "input",
        "datatype": "FP32",
        "shape": [2, 8, 8, 1],
        "data": PIXELS.ravel().tolist(),
        **changes,
    }


def table(**changes: Any) -> list[dict[str, Any]]:
    """The tensors of two records, one of them changed as told by its name."""
    kinds = {"cp": "FP64", "hp": "FP64", "species": "BYTES"}
    return [
        {"name": name, "datatype": kind, "shape": [2, 1], "data": [each[name] for each in RECORDS]}
        | changes.get(name, {})
        for name, kind in kinds.items()
    ]


def infer(client: httpx.Client, task: str, said: Any, tail: bytes = b"", **headers: str) -> httpx.Response:
    """POST an inference request: an object as JSON, bytes as they are."""
    head = said if isinstance(said, bytes) else json.dumps(said).encode()
    length = {LENGTH: str(len(head))} if tail else {}
    return client.post(f"/v2/models/{task}/infer", content=head + tail, headers={**length, **headers})


def outputs(answer: httpx.Response) -> dict[str, Any]:
    """The data of every output by name."""
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["data"] for each in answer.json()["outputs"]}


def text(*words: bytes) -> bytes:
    """Texts as the binary extension has them."""
    return b"".join(struct.pack("<I", len(word)) + word for word in words)


SPECIES = text(b"Eevee", b"Caterpie")
DATA = PIXELS.tobytes()


def binary(size: int, **changes: Any) -> dict[str, Any]:
    """The tensor of two images whose data follow the JSON."""
    tensor = image(parameters={"binary_data_size": size}, **changes)
    return {name: value for name, value in tensor.items() if name != "data"}


def species(data: bytes) -> dict[str, Any]:
    """A request whose categories follow the JSON."""
    inputs = table(species={"parameters": {"binary_data_size": len(data)}})
    del inputs[2]["data"]
    return {"inputs": inputs}
