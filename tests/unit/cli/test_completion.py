"""The script of `redoubt completion`, run by a real bash, and by zsh where there is one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from redoubt.cli import main

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_redoubt
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "redoubt.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("redoubt cert", "certify"),
        ("redoubt certify --si", "--sigma"),
        ("redoubt certify --method c", "crown complete"),
        ("redoubt audit model.onnx --norm l", "linf l2"),
        ("redoubt completion z", "zsh"),
        ("redoubt attack fg", "fgsm"),
        ("redoubt study taylo", "taylor"),
        ("redoubt predict --js", "--json"),
        ("redoubt init --decimal x", ""),
        ("redoubt verify zoo/mn", ""),
    ],
)
def test_what_is_offered(words: str, offered: str, script: Path) -> None:
    command = ["bash", "-euc", ASK.format(script=script, words=words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (offered.split(), "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_reads_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", "zsh"]) == 0
    path = tmp_path / "redoubt.zsh"
    path.write_text(capsys.readouterr().out)
    subprocess.run(["zsh", "-n", str(path)], check=True)
