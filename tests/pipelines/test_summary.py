"""The end of a run: a task without a champion is a result that nobody overlooks."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import summary
from redoubt.core.store import write_json

RATE = {"share": 0.9, "low": 0.8, "high": 0.95}
GOOD: dict[str, Any] = {
    "task": "digits",
    "champion": "certified",
    "guard": "only detects",
    "clean": "accuracy 92.2 %",
    "threat": "L-inf 0.15",
    "trusted": True,
    "notes": ["a constant predictor scores 10 %"],
    **dict.fromkeys(("undefended", "oblivious", "adaptive", "certified"), RATE),
}
NOTES = ["natural: robust tolerance skill 0.212 (0.100 to 0.300) is below the gate 0.3", "what to do: train longer"]


@pytest.mark.parametrize("champion", ["certified", None])
def test_no_champion_is_said_last_and_is_status_3(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], champion: Any
) -> None:
    shutil.copy(project / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["summary"])
    rows = {name: {**GOOD, "task": name} for name in ("evolution", "diagnosis", "digits")}
    if champion is None:
        rows["evolution"] = {"task": "evolution", "champion": None, "notes": NOTES}
    for name, row in rows.items():
        write_json(Path("reports/sections", f"{name}.json"), row)
    if champion:
        summary.main()
        assert capsys.readouterr().err == ""
        return
    with pytest.raises(SystemExit) as end:
        summary.main()
    assert end.value.code == 3
    said = capsys.readouterr()
    assert said.err == f"evolution: no champion: {NOTES[0]}; {NOTES[1]}\n"
    assert "why: see the end" in said.out
