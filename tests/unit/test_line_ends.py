"""A checkout holds the bytes that digests were made of, whatever git is told about the ends of lines."""

import shutil
import subprocess
from pathlib import Path

import pytest

from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from redoubt.core.store import read_json

CARRIED = [".gitattributes", "params.yaml", "dvc.yaml", "dvc.lock", "src/redoubt/core/pins.py", "zoo", "docs/images"]


@pytest.fixture(scope="module")
def clone(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the project, committed and checked out by git as Windows sets it up."""
    origin, clone = (tmp_path_factory.mktemp("line-ends") / name for name in ("origin", "clone"))
    for name in CARRIED:
        source, target = project / name, origin / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    person = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.autocrlf=true"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *person, *words], cwd=origin, check=True, capture_output=True)
    subprocess.run(["git", *person, "clone", "-q", origin, clone], check=True, capture_output=True)
    return clone


def test_every_file_arrives_as_it_was(clone: Path, project: Path) -> None:
    files = [path.relative_to(clone) for path in clone.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert len(files) > len(CARRIED)
    assert [path for path in files if (clone / path).read_bytes() != (project / path).read_bytes()] == []


def test_bundles_are_those_of_their_cards(clone: Path) -> None:
    cards = sorted(clone.glob("zoo/*/card.json"))
    assert cards
    for card in cards:
        assert digest_folder(card.parent, BUNDLE_FILES) == read_json(card)["digest"]
