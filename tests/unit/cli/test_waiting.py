"""What a terminal shows before the first result, and what a pipe never holds."""

import io
import subprocess
import sys

import pytest

from redoubt.cli.waiting import saying
from tests.support.closure import PROJECT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_line_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with saying("loading TensorFlow"):
        assert terminal.getvalue() == "loading TensorFlow..."
    assert terminal.getvalue().endswith("\r\033[K"), "the line is taken away"


def test_the_line_is_taken_away_before_an_error_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with pytest.raises(ValueError, match="no"), saying("loading"):
        raise ValueError("no")
    assert terminal.getvalue().endswith("\r\033[K")


@pytest.mark.parametrize("kind", [io.StringIO, Terminal], ids=["a pipe", "a terminal that cannot erase"])
def test_elsewhere_nothing_is_said(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", stream := kind())
    with saying("loading TensorFlow"):
        pass
    assert stream.getvalue() == ""


STOP = """
import sys
import redoubt.quiet
from redoubt.cli import main

def stop():
    print("tensorflow" in sys.modules, "keras" in sys.modules)
    raise SystemExit(0)

redoubt.quiet.import_tensorflow = stop
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "words",
    [
        ("attack", "pgd", "zoo/mnist-certified"),
        ("attack", "square", "http://127.0.0.1:9", "--protocol", "oip"),
        ("audit", "zoo/mnist-certified", "--data", "zoo/mnist-examples.npz"),
        ("audit", "http://127.0.0.1:9", "--data", "zoo/mnist-examples.npz", "--protocol", "oip"),
        ("certify", "zoo/mnist-certified", "--eps", "0.1"),
    ],
)
def test_nothing_slow_is_imported_before_the_line_that_says_so(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOP, *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "False"], done.stderr
