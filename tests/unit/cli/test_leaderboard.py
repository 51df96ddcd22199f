"""`redoubt leaderboard`: the zoo's cards in one table, ranked, as text, JSON and a page."""

import json
from pathlib import Path

import pytest

from redoubt.cli import main


def test_the_zoo_is_ranked_by_robust_accuracy(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "zoo.html"
    assert main(["leaderboard", str(project / "zoo"), "--json", "--html", str(page)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["rank"], row["task"], row["eps"]) for row in rows] == [(1, "mnist", 0.3), (2, "mnist", 0.3)]
    assert rows[0]["robust"]["share"] >= rows[1]["robust"]["share"]
    for row in rows:
        card = json.loads((Path(row["bundle"]) / "card.json").read_text())
        (cell,) = (each for each in card["numbers"]["cells"] if (each["norm"], each["eps"]) == ("linf", 0.3))
        assert row["robust"] == cell["adaptive"]
        assert row["model"] in page.read_text()


def test_it_fits_a_terminal(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(project / "zoo")]) == 0
    said = capsys.readouterr().out
    assert "mnist, L-inf 0.3 = 76.5 of 255, 300 examples" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_folder_without_cards_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(tmp_path)]) == 2
    assert "name a folder of bundles" in capsys.readouterr().err
