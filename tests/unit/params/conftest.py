"""A params.yaml of one's own."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.params import DUMPER, Change, Write


@pytest.fixture(scope="session")
def whole(project: Path) -> dict[str, Any]:
    """The project's own params.yaml, to be copied before it is changed."""
    read: dict[str, Any] = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    return read


@pytest.fixture
def written(whole: dict[str, Any], tmp_path: Path) -> Write:
    """The project's own params.yaml with some keys, named by their path, set to other values."""

    def write(change: Change) -> Path:
        raw = copy.deepcopy(whole)
        for name, value in change.items():
            *above, last = name.split(".")
            block = raw
            for key in above:
                block = block[key]
            block[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.dump(raw, Dumper=DUMPER, sort_keys=False), encoding="utf-8")
        return path

    return write
