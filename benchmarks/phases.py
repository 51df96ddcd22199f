"""Where the time of one request goes, measured in one process: each part alone, and the network's own work."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from redoubt.bundle.model.subgraph import extract
from serving import strict_json
from serving.answers import Ask, answer, reply
from serving.runtime import load
from serving.schema import Certify

REPEATS, ROWS = 200, 8


def phases(bundle: Path, certify: Certify) -> dict[str, float]:
    """Milliseconds of each part of one image's answer, HTTP and the event loop left out."""
    champions = load(bundle.parent).champions
    champion = champions[bundle.name]
    model, ask = champion.model, Ask(champion, certify)
    inputs = json.loads((bundle / "example.json").read_bytes())["inputs"][:1]
    body = json.dumps({"task": bundle.name, "inputs": inputs, "certify": certify}).encode()
    read = asyncio.run(strict_json.read(body, champions))
    assert read is not None, "the example is not read the quick way"
    x, draws = read[2], model.guard.draw(np.random.default_rng(0), 1)
    rows = answer(ask, x, draws)
    took = {
        "reading the JSON": _ms(lambda: _finish(strict_json.read(body, champions))),
        "drawing": _ms(lambda: model.guard.draw(np.random.default_rng(0), 1)),
        "network and guard": _ms(lambda: model._session.run(["variants"], {"x": x, **draws})),
        "certificate": _ms(lambda: model.prove_drawn(x, champion.eps, draws)) if certify != "none" else 0.0,
        "writing the JSON": _ms(lambda: reply(bundle.name, ask, rows)),
    }
    whole = _ms(lambda: answer(ask, x, draws))
    took["votes, scores and the rest"] = max(0.0, whole - took["network and guard"] - took["certificate"])
    return {**took, "all of these": sum(took.values())}


def floor(bundle: Path) -> float:
    """Images a second of the bare network, as often as the guard has variants, in batches and nothing else."""
    model = load(bundle.parent).champions[bundle.name].model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = extract((bundle / "model.onnx").read_bytes(), "network_input", "network_output")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    x = np.zeros((ROWS * len(model.variants), *model.schema.shape), dtype=np.float32)
    return ROWS / _ms(lambda: session.run(None, {"network_input": x})) * 1000


def _finish(reading: object) -> None:
    # One image is read without a pause, so that no event loop is needed.
    try:
        reading.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    raise RuntimeError("reading paused")


def _ms(call: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began))
    return median(took[REPEATS // 10 :])
