"""The page of worked examples; `python -m tests.support.worked_page --write` brings its output of init up to date.

A section has three blocks of code: the commands, what init prints, and the request with the endpoint's answer.
"""

import contextlib
import io
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.worked_examples import MAKERS
from redoubt.cli import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/examples.md"
_BLOCK = re.compile(r"```(bash|text|json)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Section:
    """One example, as the page has it.

    Attributes:
        commands: what its reader types, a line each.
        printed: what init prints.
        spoken: the request, and the endpoint's answer to it.
    """

    commands: list[str]
    printed: str
    spoken: list[str]

    @property
    def init(self) -> list[str]:
        """The words of its `redoubt init`."""
        line = next(line for line in self.commands if line.startswith("redoubt init "))
        return shlex.split(line, comments=True)[1:]


def sections(page: str) -> dict[str, Section]:
    """The page's sections, by the name of the example that each is of."""
    found = {}
    for part in page.split("\n## ")[1:]:
        blocks = [(kind, text) for kind, text in _BLOCK.findall(part)]
        by_kind = {kind: [text for each, text in blocks if each == kind] for kind in ("bash", "text", "json")}
        section = Section(by_kind["bash"][0].splitlines(), by_kind["text"][0], by_kind["json"])
        found[section.init[1]] = section
    return found


def printed(name: str, words: list[str], top: Path) -> str:
    """What init prints of an example, in a folder of its own.

    Args:
        name: of the example.
        words: of the command.
        top: an empty folder, which becomes the project's top.
    """
    shutil.copy(ROOT / "params.yaml", top)
    said = io.StringIO()
    with contextlib.chdir(top), contextlib.redirect_stdout(said):
        Path("my").mkdir()
        MAKERS[name](Path("my"))
        status = main(words)
    if status:
        raise ValueError(f"init ended with {status}: {said.getvalue()}")
    return "\n".join(line.rstrip() for line in said.getvalue().splitlines()) + "\n"


def _write() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, section in sections(page).items():
        with tempfile.TemporaryDirectory() as top:
            page = page.replace(section.printed, printed(name, section.init, Path(top)))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.support.worked_page --write")
    _write()
