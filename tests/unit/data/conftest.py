"""What the data tests share: the project's own params, and real files where a mirror holds them."""

import os
from pathlib import Path

import pytest

from redoubt.data.locate import MIRROR
from redoubt.params.load import Params, load

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def params() -> Params:
    return load(ROOT / "params.yaml")


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The real files, without which a test is skipped; nothing in the working directory can stand in for them."""
    folder = os.environ.get(MIRROR)
    if not folder:
        pytest.skip(f"{MIRROR} is not set: it names the directory that holds the real data")
    found = Path(folder).resolve()
    monkeypatch.setenv(MIRROR, str(found))
    monkeypatch.chdir(tmp_path)
    return found
