"""Proofs from the command line: the service's own bounds, smoothing, and one sentence per mistake."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.bundle.certificates import proven
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.cli import main
from redoubt.cli.curve import bar
from tests.support import tiny
from tests.support.tiny import IMAGE


def certify(folder: Path, *words: str) -> dict[str, Any]:
    assert main(["certify", *words, f"--out={folder}"]) == 0
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def test_a_bundles_share_is_that_of_the_graph_that_serves(
    desk: Path, bundles: Callable[[str], tiny.Guarded], tmp_path: Path
) -> None:
    folder, rows = bundles(IMAGE).folder, np.load(desk / "rows.npz")
    record = certify(tmp_path, str(folder), f"--data={desk}/rows.npz", "--eps", "0.01", "0.05")
    assert list(record["found"]) == ["L-inf 0", "L-inf 0.01", "L-inf 0.05"]
    model = GuardedModel.load(folder)
    for eps in (0.0, 0.01, 0.05):
        proof = model.prove(rows["x"], eps, np.random.default_rng(0))[:, 0]
        share = float(proven(proof, rows["y"], None).mean())
        assert record["found"][f"L-inf {eps:g}"]["share"] == pytest.approx(share, abs=1e-6)
    assert record["target"]["digest"] == model.digest


def test_no_attack_goes_below_what_is_proven(desk: Path, tmp_path: Path) -> None:
    words = (f"{desk}/bars.keras", f"--data={desk}/rows.npz", "--eps=0.05")
    found = certify(tmp_path / "proof", *words)["found"]["L-inf 0.05"]
    assert main(["attack", "ensemble", *words, "--queries=50", f"--out={tmp_path}/attack"]) == 0
    attacked = json.loads((tmp_path / "attack/record.json").read_text())["found"]
    assert 0 < found["share"] <= attacked["robust_accuracy"]["share"]


def test_a_number_is_proven_within_its_tolerance(desk: Path, tmp_path: Path) -> None:
    words = (f"{desk}/price.keras", f"--data={desk}/price.npz", "--bounds", "-9", "5000", "--eps", "0.001")
    near, far = (certify(tmp_path, *words, f"--tolerance={size}")["found"]["L-inf 0.001"]["share"] for size in (1, 1e6))
    assert near <= far == 1.0


def test_each_method_is_a_line_of_the_table(desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (f"{desk}/bars.keras", f"--data={desk}/rows.npz", "--eps=0.1", "--points=12", "--method=complete")
    found = certify(tmp_path, *words, "--limit=5")
    by_method = found["methods"]["L-inf 0.1"]["certified"]
    shares = [by_method[name]["share"] for name in ("interval", "CROWN", "alpha-CROWN", "branch and bound")]
    assert shares == sorted(shares)
    assert shares[-1] == found["found"]["L-inf 0.1"]["share"]
    assert found["given"] == {"method": "complete", "limit": 5.0}
    rest = found["methods"]["L-inf 0.1"]
    assert rest["adversarial"] + rest["undecided"] == round(12 * (1 - shares[-1]))
    said = capsys.readouterr().out
    assert (
        f"{rest['adversarial']} misclassified or refuted by an adversarial example, {rest['undecided']} undecided"
        in said
    )
    assert "branch and bound" in said


def test_the_curve_is_drawn_and_json_is_the_record(
    desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["certify", f"{desk}/bars.keras", f"--data={desk}/rows.npz", "--eps", "0.01", "0.2", f"--out={tmp_path}"]
    assert main(words) == 0
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "record.json").read_text())["found"]
    assert [line.count("█") for line in told.splitlines() if "L-inf" in line] == [
        len(bar(each["share"]).rstrip("░")) for each in found.values()
    ]
    assert str(tmp_path / "curve.svg") in told.split()
    assert (tmp_path / "curve.svg").read_text().count("certified accuracy") == 1
    (tmp_path / "curve.svg").unlink()
    assert main([*words, "--json"]) == 0
    assert capsys.readouterr().out == (tmp_path / "record.json").read_text()
    assert (tmp_path / "curve.svg").is_file()


def test_a_record_of_a_bundle_says_eps_in_raw_units_too(
    desk: Path, bundles: Callable[[str], tiny.Guarded], tmp_path: Path
) -> None:
    record = certify(tmp_path, str(bundles(IMAGE).folder), f"--data={desk}/rows.npz", "--eps", "0.05")
    assert record["raw_units"] == ["L-inf 0.05 = 12.8 of 255"]


@pytest.mark.parametrize(("share", "cells"), [(0.0, 0), (0.001, 1), (0.5, 10), (0.999, 19), (1.0, 20)])
def test_a_bar_is_empty_at_none_and_full_at_all_alone(share: float, cells: int) -> None:
    assert bar(share) == "█" * cells + "░" * (20 - cells)


def test_under_noise_less_is_certain_the_further_one_goes(desk: Path, tmp_path: Path) -> None:
    words = (f"{desk}/bars.keras", f"--data={desk}/rows.npz", "--sigma=0.25", "--draws=200", "--points=20")
    first = certify(tmp_path / "a", *words, "--radii", "0.5", "0.1")
    shares = [first["found"][f"L2 {radius}"]["share"] for radius in ("0", "0.1", "0.5")]
    assert 1 >= shares[0] >= shares[1] >= shares[2]
    assert shares[0] > 0.5
    assert first["data"]["examples"] == first["found"]["abstains"]["n"] == 20
    assert certify(tmp_path / "b", *words, "--radii", "0.5", "0.1") == first


MISTAKES = {
    "url": ("http://127.0.0.1:9 --eps 0.1", "certify the bundle it serves"),
    "limit": ("bars.keras --data=rows.npz --eps 0.1 --limit 5", "--limit is of --method complete, a number of seconds"),
    "no-time": ("bars.keras --data=rows.npz --eps 0.1 --method complete --limit 0", "a number of seconds above 0"),
    "method": ("bars.keras --data=rows.npz --sigma 1 --method crown", "--method is of bounds and --sigma of smoothing"),
    "two-kinds": ("bars.keras --data=rows.npz --eps 0.1 --sigma 0.5", "leave one of them out"),
    "radii": ("bars.keras --data=rows.npz --radii 0.5", "--radii is of randomized smoothing: say the noise too"),
    "sigma": ("bars.keras --data=rows.npz --sigma 0", "--sigma: Input should be greater than 0; 0.0 came"),
    "draws": ("bars.keras --data=rows.npz --sigma 1 --draws 5", "even a unanimous vote proves nothing below 11"),
    "alpha": ("bars.keras --data=rows.npz --sigma 1 --alpha 1", "--alpha: Input should be less than 0.5; 1.0 came"),
    "eps": ("bars.keras --data=rows.npz --eps 0.1 -0.1", "eps is -0.1; it must be >= 0 and finite"),
    "eps-nan": ("bars.keras --data=rows.npz --eps nan", "eps is nan; it must be >= 0 and finite"),
    "labels": ("bars.keras --data=labels.npz --eps 0.1", "labels span 0..3; the model has classes 0..2"),
    "labels-noise": ("bars.keras --data=labels.npz --sigma 1", "labels span 0..3; the model has classes 0..2"),
    "nan": ("bars.keras --data=nan.npz --eps 0.1", "inputs hold NaN or infinity"),
    "bytes": ("bars.keras --data=bytes.npz --eps 0.1", "outside their bounds"),
    "eps-missing": ("bars.keras --data=rows.npz", "say how large a perturbation may be with --eps"),
    "rows": ("bars.keras --eps 0.1", "no examples: give an NPZ file with x and y by --data"),
    "number": ("price.keras --data=price.npz --bounds -9 5000 --sigma 1", "no probability: give --tolerance"),
    "layer": ("wavy.keras --data=rows.npz --eps 0.1", "wave"),
}


def test_a_residual_network_has_interval_bounds_and_no_linear_ones(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    inputs = keras.Input((6, 6, 1))
    flat = keras.layers.Flatten()(inputs)
    joined = keras.layers.Dense(36, activation="tanh")(flat) + flat
    keras.Model(inputs, keras.layers.Dense(3)(joined)).save("residual.keras")
    assert main(["certify", "residual.keras", "--data=rows.npz", "--eps", "0.001", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["found"]
    shares = [found[f"L-inf {eps:g}"]["share"] for eps in (0.0, 0.001, 0.5)]
    assert shares[0] >= shares[1] >= shares[2] == 0.0
    assert shares[1] > 0.0
    assert main(["certify", "residual.keras", "--data=rows.npz", "--eps=0.001", "--method=crown"]) == 2
    assert "reads 2 tensors" in capsys.readouterr().err


@pytest.mark.parametrize("name", MISTAKES)
def test_one_sentence(
    name: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    if name == "layer":
        layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="gelu", name="wave")]
        keras.Sequential([keras.Input((6, 6, 1)), *layers]).save("wavy.keras")
    line, says = MISTAKES[name]
    assert main(["certify", *line.split()]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert len(told.err.strip().splitlines()) == 1
