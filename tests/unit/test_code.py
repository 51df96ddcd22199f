"""Import closures, on a project made for the purpose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from redoubt import code

FILES = {
    "pipelines/__init__.py": "import os\n",
    "pipelines/train.py": "from redoubt.models import networks\nimport redoubt.data.store as store\n",
    "src/redoubt/__init__.py": '"""Only a docstring."""\n',
    "src/redoubt/models/__init__.py": "A = 1\n",
    "src/redoubt/models/networks.py": "def build():\n    from redoubt.types import Floats\n",
    "src/redoubt/models/unused.py": "B = 2\n",
    "src/redoubt/data/__init__.py": "",
    "src/redoubt/data/store.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from redoubt.models.unused import B\nelse:\n    from redoubt.other import C\n"
        "import numpy, redoubt.tracking.sync\n"
    ),
    "src/redoubt/tracking/__init__.py": "from redoubt.models import unused\n",
    "src/redoubt/tracking/sync.py": "from redoubt.models import unused\n",
    "src/redoubt/other.py": "C = 3\n",
    "src/redoubt/types.py": "Floats = int\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of a few modules."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "SRC", tmp_path / "src")
    monkeypatch.setattr(code, "TOPS", {"redoubt": tmp_path / "src", "pipelines": tmp_path})
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for each in (code._tree, code._imported, code.code_digest):
        each.cache_clear()


def test_a_closure_holds_all_that_runs_and_nothing_else(project: Path) -> None:
    assert [path.relative_to(project).as_posix() for path in code.closure("pipelines.train")] == [
        "pipelines/__init__.py",
        "pipelines/train.py",
        "src/redoubt/data/store.py",
        "src/redoubt/models/__init__.py",
        "src/redoubt/models/networks.py",
        "src/redoubt/other.py",
        "src/redoubt/types.py",
    ]


def test_a_module_that_is_not_there_is_an_error(project: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no module redoubt.gone"):
        code.closure("redoubt.gone")


@pytest.mark.parametrize(
    ("edited", "matters"),
    [("src/redoubt/types.py", True), ("pipelines/__init__.py", True), ("src/redoubt/models/unused.py", False)],
)
def test_a_digest_is_that_of_the_closure(project: Path, edited: str, matters: bool) -> None:
    before = code.code_digest("pipelines.train")
    (project / edited).write_text("D = 4\n")
    forget()
    assert (code.code_digest("pipelines.train") != before) == matters
