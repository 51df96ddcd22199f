"""A function that ends the program would end an audit with a status of its own, and pass a gate with `sys.exit(0)`."""

from pathlib import Path

import numpy as np
import pytest

from redoubt.cli import main

SCRIPTS = {
    "leaves_at_import": ("import sys\nsys.exit(0)\n", "'leaves_at_import' cannot be imported (SystemExit: 0)"),
    "fails_at_import": ("raise ValueError('no weights')\n", "cannot be imported (ValueError: no weights)"),
    "leaves_when_asked": ("import sys\ndef predict(x):\n    sys.exit(0)\n", "fails on inputs of shape"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_said_and_the_audit_does_not_pass(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, said = SCRIPTS[name]
    (tmp_path / f"{name}.py").write_text(script, encoding="utf-8")
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).random((20, 4)), y=np.arange(20) % 2)
    monkeypatch.chdir(tmp_path)
    assert main(["audit", f"{name}:predict", "--data", "rows.npz", "--fail-under", "0.9"]) == 2
    assert said in capsys.readouterr().err
