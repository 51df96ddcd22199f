"""A client that another program made of the OpenAPI document alone works."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.images import encoded

IMAGE = np.full((8, 8), 0.5).tolist()


@pytest.fixture(scope="module")
def package(asgi: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The client, generated of the running service's document."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "docs.json").write_bytes(asgi.get("/docs.json").content)
    (folder / "settings.yaml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "docs.json", "--meta", "none"]
    command += ["--config", "settings.yaml", "--output-path", "redoubt_client", "--fail-on-warning"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("redoubt_client")


@pytest.fixture(scope="module")
def caller(package: ModuleType, http: httpx.Client) -> Iterator[Any]:
    """One that asks the real server."""
    with package.Client(base_url=str(http.base_url)) as client:
        yield client


def part(name: str) -> ModuleType:
    """A module of the generated package."""
    return importlib.import_module(f"redoubt_client.{name}")


def test_predictions(caller: Any) -> None:
    models = part("models")
    body = models.DigitsRequest(task=models.DigitsRequestTask.DIGITS, inputs=[IMAGE])
    said = part("api.default.predict").sync(client=caller, body=body)
    assert isinstance(said, models.PredictResponse)
    assert said.predictions[0].label in said.predictions[0].probabilities.to_dict()
    record = models.EvolutionInput(cp=300.0, hp=50, species=models.EvolutionInputSpecies.EEVEE)
    body = models.EvolutionRequest(task=models.EvolutionRequestTask.EVOLUTION, inputs=[record])
    said = part("api.default.predict").sync(client=caller, body=body)
    assert isinstance(said.predictions[0].value, float)
    body = models.DigitsRequest(task=models.DigitsRequestTask.DIGITS, inputs=[[[2.0]]])
    said = part("api.default.predict").sync(client=caller, body=body)
    assert "input 0" in said.error.message


def test_uploads(caller: Any) -> None:
    models = part("models")
    file = part("types").File(BytesIO(encoded(Image.new("L", (8, 8), 128))), "digit.png", "image/png")
    body = models.UploadRequest(image=file, task=models.UploadRequestTask.DIGITS)
    said = part("api.default.predict_image").sync(client=caller, body=body)
    assert isinstance(said, models.PredictResponse), said


def test_tensors(caller: Any) -> None:
    models = part("models")
    told = part("api.default.model_metadata").sync(models.Task.DIGITS, client=caller)
    (spec,) = told.inputs
    tensor = models.InputTensor(spec.name, spec.datatype, [1, *spec.shape[1:]], data=np.ravel(IMAGE).tolist())
    said = part("api.default.model_infer").sync(models.Task.DIGITS, client=caller, body=models.InferRequest([tensor]))
    assert [output.name for output in said.outputs] == [output.name for output in told.outputs]
