"""The service over tiny bundles: in process, as an ASGI application, and as a real server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from serving import runtime, service
from tests.support.bundles import SCHEMAS, write_champion
from tests.support.process import serve


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a champion for every schema."""
    folder = tmp_path_factory.mktemp("models")
    for task, schema in SCHEMAS.items():
        write_champion(folder / task / "champion", schema)
    return folder


@pytest.fixture(scope="session")
def loaded(models: Path) -> runtime.Runtime:
    """The runtime over `models`."""
    return runtime.load(models)


@pytest.fixture(scope="session")
def asgi(models: Path) -> Iterator[httpx.Client]:
    """The service as an ASGI application in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "MODELS", models)
        with TestClient(service.Redoubt.to_asgi(), raise_server_exceptions=False) as client:
            yield client


@pytest.fixture(scope="session")
def http(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The service as a real server on a free port of this machine."""
    with serve("serving.service:Redoubt", models, tmp_path_factory.mktemp("server")) as client:
        yield client


@pytest.fixture(params=["asgi", "http"])
def client(request: pytest.FixtureRequest) -> httpx.Client:
    """Each of the two in turn."""
    found: httpx.Client = request.getfixturevalue(request.param)
    return found
