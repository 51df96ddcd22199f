"""A bundle of zoo/ in a fresh clone: examples are at hand without a download, and eps is that of its card."""

import os
from pathlib import Path

import numpy as np
import pytest

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.cli import main
from redoubt.cli.recipe import examples_of, recipe_of
from redoubt.core.store import read_json
from redoubt.data.locate import MIRROR


@pytest.fixture
def zoo(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's zoo in a folder that holds nothing else."""
    (tmp_path / "zoo").symlink_to(project / "zoo")
    monkeypatch.chdir(tmp_path)
    return Path("zoo")


def test_the_examples_beside_the_bundles_are_the_first_of_the_test_set(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if MIRROR not in os.environ:
        pytest.skip(f"{MIRROR} is not set: it names the directory that holds MNIST")
    whole = examples_of(zoo / "mnist-certified", "mnist")
    monkeypatch.delenv(MIRROR)
    few = examples_of(zoo / "mnist-certified", "mnist")
    assert whole is not None
    assert few is not None
    assert (len(whole[0]), whole[2]) == (10_000, "test images of mnist")
    assert (len(few[0]), few[2]) == (200, "zoo/mnist-examples.npz, 200 test images of mnist")
    assert few[0].dtype == np.float32
    assert few[0].shape[1:] == GuardedModel.load(zoo / "mnist-certified").schema.shape
    for found, expected in zip(few[:2], whole[:2], strict=True):
        assert np.array_equal(found, expected[:200])


def test_a_bundle_without_a_recipe_has_none(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for folder, task in ((None, "mnist"), (zoo / "mnist-certified", "digits"), (tmp_path / "bare", "mnist")):
        assert recipe_of(folder, task) is None
    (tmp_path / "bare/card.json").write_text('{"eps": 0.1}', encoding="utf-8")
    assert recipe_of(tmp_path / "bare", "mnist") is None
    assert examples_of(tmp_path / "bare", "mnist") is None


@pytest.mark.parametrize(
    ("words", "record", "eps"),
    [
        (["certify", "zoo/mnist-certified", "--points", "3"], "certificates/zoo-mnist-certified", 0.3),
        (["attack", "fgsm", "zoo/mnist-adversarial", "--points", "3"], "attacks/zoo-mnist-adversarial/fgsm", 0.3),
    ],
    ids=["certify", "attack"],
)
def test_the_commands_need_nothing_but_the_bundle(
    words: list[str],
    record: str,
    eps: float,
    zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(MIRROR, raising=False)
    assert main(words) == 0
    written = Path("reports", record, "record.json")
    said = " ".join(capsys.readouterr().out.split())
    assert "zoo/mnist-examples.npz, 200 test images" in said
    found = read_json(written)
    assert found["data"]["examples"] == 3
    assert found["given"].get("eps", eps) == eps
    assert f"L-inf {eps:g}" in said
    assert "76.5 of 255" in said
    assert main([*words, "--json"]) == 0
    assert capsys.readouterr().out == written.read_text()


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "redoubt 0.1.0\n"


@pytest.mark.parametrize("command", [["attack", "fgsm", "x.keras"], ["certify", "x.keras"]], ids=lambda words: words[0])
def test_a_folder_that_cannot_hold_results_is_refused_before_any_work(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine", encoding="utf-8")
    assert main([*command, "--out", "taken/deeper"]) == 2
    assert capsys.readouterr().err == f"error: --out taken/deeper: {tmp_path / 'taken'} is a file; name a folder\n"
