"""`redoubt compare`: two bundles, as a table, JSON and a page."""

import json
from pathlib import Path

import pytest

from redoubt.cli import main


def test_two_bundles_are_compared(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zoo, page = project / "zoo", tmp_path / "page.html"
    words = ["compare", str(zoo / "mnist-adversarial"), str(zoo / "mnist-certified"), "--html", str(page)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines() if "%" in line and "chance" not in line) <= 80
    assert "settings that differ" in said
    assert said.endswith(f"page: {page}\n")
    assert main([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    (row,) = [row for row in found["rows"] if (row["what"], row["norm"], row["eps"]) == ("adaptive", "linf", 0.3)]
    card = json.loads((zoo / "mnist-certified/card.json").read_text())
    (cell,) = (each for each in card["numbers"]["cells"] if (each["norm"], each["eps"]) == ("linf", 0.3))
    assert row["b"] == cell["adaptive"]
    text = page.read_text(encoding="utf-8")
    assert 'data-name="compare-mnist"' in text
    assert 'data-head="B - A"' in text


def test_nothing_to_compare_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "it holds neither robustness.json nor card.json" in capsys.readouterr().err
