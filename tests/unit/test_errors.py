"""What a user did wrong is one sentence; what this program did wrong keeps its traceback."""

import ast
import errno
from pathlib import Path

import pytest

from redoubt.core.errors import FIXES, RedoubtError, SurroundingsError, as_user_error

# Named for what an attacker aims at: no exception.
OTHERS = {"SignedError"}


def classes(project: Path) -> dict[str, list[str]]:
    """The bases of each class of the product whose name says that it is an error."""
    found = {}
    for room in ("src", "pipelines", "serving"):
        for path in (project / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and node.name not in OTHERS:
                    found[node.name] = [ast.unparse(base) for base in node.bases]
    return found


def test_each_error_of_ours_is_of_the_one_family(project: Path) -> None:
    bases = classes(project)
    assert bases.pop("RedoubtError") == ["ValueError"]
    assert len(bases) > 25
    family = {"RedoubtError"}
    while more := {name for name, parents in bases.items() if family & set(parents)} - family:
        family |= more
    assert set(bases) - family == set()


def test_nothing_recognizes_an_error_by_the_name_of_a_module(project: Path) -> None:
    texts = [
        path.read_text(encoding="utf-8")
        for room in ("src", "pipelines", "serving")
        for path in (project / room).rglob("*.py")
    ]
    assert [line for text in texts for line in text.splitlines() if "type(error).__module__" in line] == []


@pytest.mark.parametrize("number", sorted(FIXES))
def test_a_refusal_of_the_operating_system_is_a_sentence_with_the_file_and_the_mend(number: int) -> None:
    said = as_user_error(OSError(number, "anything", "/data/own/x.csv"))
    assert isinstance(said, SurroundingsError)
    assert str(said).startswith("/data/own/x.csv cannot be used: ")
    assert str(said).endswith(FIXES[number])


def test_hdf5_which_tells_the_number_in_words_alone_is_understood() -> None:
    error = OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')")
    assert "free some space" in str(as_user_error(error))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a shape of this program's own making"),
        KeyError("x"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "reports/digits/robustness.json"),
        OSError("without a number"),
    ],
    ids=repr,
)
def test_a_mistake_of_this_program_keeps_its_traceback(error: Exception) -> None:
    assert as_user_error(error) is None


def test_an_error_of_ours_stays_itself() -> None:
    error = RedoubtError("this came; expected that: do so")
    assert as_user_error(error) is error
