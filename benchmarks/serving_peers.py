"""The same network without guard behind other servers, each as its own documentation writes it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server import free_port, running
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.model.subgraph import extract
from redoubt.bundle.schema import Schema

SESSION = """
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("network.onnx", options)

def probabilities(x):
    logits = session.run(None, {"network_input": x})[0]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
"""
KERAS = """
import keras
import numpy as np
from redoubt.models.saved import load_network
from pathlib import Path

network = load_network(Path("bundle"))

def probabilities(x):
    return network.predict(x, verbose=0)
"""
BENTOML = """
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape
from peer_shape import SHAPE

@bentoml.service(workers=1, threads=2)
class Bare:
    def __init__(self):
        from peer_model import probabilities
        self.probabilities = probabilities
        probabilities(np.zeros((1, *SHAPE), np.float32))

    @bentoml.api
    def predict(self, inputs: Annotated[np.ndarray, DType("float32"), Shape((-1, *SHAPE))]) -> np.ndarray:
        return self.probabilities(inputs)
"""
FASTAPI = """
import numpy as np
from fastapi import FastAPI
from peer_model import probabilities
from peer_shape import SHAPE, Inputs
from pydantic import BaseModel

app = FastAPI()

class Request(BaseModel):
    inputs: Inputs

class Answer(BaseModel):
    probabilities: list[list[float]]

@app.post("/predict")
async def predict(request: Request) -> Answer:
    x = np.asarray(request.inputs, dtype=np.float32).reshape(-1, *SHAPE)
    return Answer(probabilities=probabilities(x).tolist())
"""
PEERS = {
    "BentoML + ONNX Runtime": (BENTOML, SESSION, ["bentoml", "serve", "peer:Bare", "--host", "127.0.0.1"]),
    "FastAPI + ONNX Runtime": (FASTAPI, SESSION, ["uvicorn", "peer:app", "--no-access-log"]),
    "BentoML + Keras predict": (BENTOML, KERAS, ["bentoml", "serve", "peer:Bare", "--host", "127.0.0.1"]),
}


@contextmanager
def serving(name: str, bundle: Path) -> Iterator[str]:
    """Run a peer with a bundle's network; yields its url."""
    code, model, command = PEERS[name]
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "peer.py").write_text(code, encoding="utf-8")
        (folder / "peer_model.py").write_text(model, encoding="utf-8")
        (folder / "peer_shape.py").write_text(_shape(bundle), encoding="utf-8")
        graph = extract((bundle / "model.onnx").read_bytes(), "network_input", "network_output")
        (folder / "network.onnx").write_bytes(graph)
        (folder / "bundle").symlink_to(bundle.resolve())
        path = os.pathsep.join([str(Path("src").resolve()), str(folder), os.environ.get("PYTHONPATH", "")])
        variables = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "home"), "PYTHONPATH": path}
        words = [sys.executable, "-m", *command, "--port", url.rpartition(":")[2]]
        with running(words, f"{url}/docs", folder, variables):
            yield url


def _shape(bundle: Path) -> str:
    """The module that tells a peer the shape of an input, and FastAPI its type: an image's channel is left out."""
    shape = read_typed(bundle / "schema.json", Schema).shape
    deep = len(shape[:2])
    return f"SHAPE = {tuple(shape)}\nInputs = {'list[' * (deep + 1)}float{']' * (deep + 1)}\n"
