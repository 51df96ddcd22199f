"""What a terminal shows before the first result, and what a pipe never holds."""

import io
import sys

import pytest

from redoubt.cli.waiting import saying


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
