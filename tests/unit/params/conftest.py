"""A params.yaml of one's own."""

import copy
from pathlib import Path

import pytest
import yaml

from tests.support.params import Change, Write


@pytest.fixture
def written(project: Path, tmp_path: Path) -> Write:
    """The project's own params.yaml with some keys, named by their path, set to other values."""
    whole = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))

    def write(change: Change) -> Path:
        raw = copy.deepcopy(whole)
        for name, value in change.items():
            *above, last = name.split(".")
            block = raw
            for key in above:
                block = block[key]
            block[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return path

    return write
