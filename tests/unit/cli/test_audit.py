"""The command `audit`: a verdict on a file, a function and a table, in files and in the exit status."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.cli import main
from redoubt.cli.audit import _own_eps
from redoubt.core.types import Norm
from redoubt.targets.contract import Opening
from redoubt.targets.open import open_target
from tests.support import brightness

ZOO = Path(__file__).parents[3] / "zoo"
FAST = ["--points", "40", "--budget", "1m", "--eps", "0.1"]


@pytest.fixture
def here(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return desk


@pytest.fixture(autouse=True)
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square's thorough search is tested where it is at home."""
    monkeypatch.setattr("redoubt.audit.plan.MANY", 60)
    monkeypatch.setattr("redoubt.audit.plan.FEW", 30)
    monkeypatch.setattr("redoubt.audit.plan.STEPS", 10)


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("reports/audits", name, "audit.json").read_text())
    return found


def test_a_keras_file_with_gradients_and_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    batch = brightness.examples(40)
    np.savez("d.npz", x=batch.x, y=batch.y)
    brightness.model().save("bright.keras")
    assert main(["audit", "bright.keras", "--data", "d.npz", *FAST, "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert "L-inf 0.1 = 25.5 of 255" in said
    assert "bounds: 0 to 1, inferred from the examples" in said
    found = json.loads(Path("out/audit.json").read_text())
    assert found["access"] == "gradients and bounds"
    shares = [row["robust"]["share"] for row in found["rows"]]
    assert shares == sorted(shares, reverse=True)
    for row in found["rows"]:
        assert row["certified"]["share"] <= row["robust"]["share"]
        assert row["robust"]["share"] <= min(each["share"] for each in row["by_attack"].values())
    assert [row["asked"] for row in found["rows"]] == [False, False, True]
    assert not [check for check in found["checks"] if not check["passed"]]
    page, card = Path("out/index.html").read_text(), Path("out/MODEL_CARD.md").read_text()
    for text in (page, card):
        assert "25.5 of 255" in text
        assert "redoubt audit bright.keras" in text
    assert "data:image/svg+xml" in page
    assert found["verdict"] in card


def test_a_function_on_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trees by queries: eps in standard deviations, the classes named in the table's own words."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    age, income = rng.uniform(20, 80, 120), rng.uniform(0, 5000, 120)
    lines = [f"{a:.2f},{i:.1f},{'yes' if a > 50 else 'no'}" for a, i in zip(age, income, strict=True)]
    Path("people.csv").write_text("age,income,churned\n" + "\n".join(lines) + "\n")
    Path("trees_of_mine.py").write_text(
        "import numpy as np\nfrom sklearn.ensemble import GradientBoostingClassifier\n"
        "x = np.loadtxt('people.csv', delimiter=',', skiprows=1, usecols=(0, 1))\n"
        "y = np.loadtxt('people.csv', delimiter=',', skiprows=1, usecols=2, dtype=str)\n"
        "model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(x, y)\n"
        "def labels(inputs):\n    return model.predict(inputs)\n"
    )
    words = ["--data", "people.csv", "--target", "churned", "--eps", "0.3", "--points", "24"]
    assert main(["audit", "trees_of_mine:model", *words, "--fail-under", "0.01"]) == 0
    assert "0.3 standard deviations" in capsys.readouterr().out
    scores = read("trees_of_mine-model")
    assert main(["audit", "trees_of_mine:labels", *words, "--json", "--fail-under", "1.0"]) == 1
    said = capsys.readouterr()
    assert re.search(r"--fail-under: robust accuracy is at most 0.\d+ at L-inf", said.err)
    labels = json.loads(said.out)
    for found, access in ((scores, "scores"), (labels, "labels")):
        assert found["access"] == access
        assert found["rows"][-1]["robust"]["share"] < 1.0
        assert any("follow gradients" in each for each in found["not_tried"])
        assert found["queries"] > 0
    assert main(["audit", "trees_of_mine:model", *words, "--budget", "300q"]) == 1
    assert "exceed the budget of 300" in capsys.readouterr().err
    assert "exceed the budget" in read("trees_of_mine-model")["stopped"]


def test_columns_that_are_related(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is declared on the command line is said, kept by every attack, and held against the examples first."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    opened, total = rng.uniform(0, 20, 60), rng.uniform(20, 40, 60)
    lines = [f"{a:.3f},{b:.3f},{a / b:.6f},{'yes' if a > 10 else 'no'}" for a, b in zip(opened, total, strict=True)]
    Path("accounts.csv").write_text("open,total,ratio,late\n" + "\n".join(lines) + "\n")
    Path("late_of_mine.py").write_text(
        "import numpy as np\ndef scores(x):\n"
        "    p = 1 / (1 + np.exp(10.0 - x[:, 0]))\n    return np.stack([1 - p, p], 1)\n"
    )
    words = ["audit", "late_of_mine:scores", "--data", "accounts.csv", "--target", "late"]
    words += ["--eps", "0.3", "--points", "24"]
    rounded = ["--relation", "open / total - 0.0001 <= ratio <= open / total + 0.0001"]
    assert main([*words, *rounded, "--relation", "open <= total"]) == 0
    found = read("late_of_mine-scores")
    assert "genetic search" in {each["attack"] for each in found["tried"]}
    assert found["rows"][-1]["robust"]["share"] < 1.0
    said = " ".join(capsys.readouterr().out.split())
    assert "every x_adv keeps" in said
    assert main([*words, "--relation", "open <= 5"]) == 2
    assert re.search(r"--relation 'open <= 5': \d+ of 24 examples break it", capsys.readouterr().err)
    assert main([*words, "--relation", "opened <= total"]) == 2
    assert "unknown column 'opened'; did you mean 'open'" in capsys.readouterr().err


def test_interrupted_keeps_what_is_known(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from redoubt.attacks.apgd import APGD

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(APGD, "perturb", interrupt)
    assert main(["audit", str(here / "bars.keras"), "--data", str(here / "rows.npz"), *FAST]) == 1
    (folder,) = Path("reports/audits").iterdir()
    found = read(folder.name)
    assert found["stopped"] == "interrupted"
    assert "pgd" in found["rows"][-1]["by_attack"]
    assert "Not finished" in (folder / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bars.keras", "--data", "missing.npz"], "--data 'missing.npz' was not found"),
        (["bars.keras", "--data", "columns.npz"], r"y has shape \(\d+, 1\); expected \(examples,\)"),
        (["bars.keras", "--data", "halves.npz"], "expected classes from 0, or give --tolerance"),
        (["bars.keras", "--data", "labels.npz"], "labels span|the data have"),
        (["bars.keras", "--data", "nan.npz"], "holds NaN or infinity"),
        (["bars.keras", "--data", "shape.npz"], r"shape \(5, 6, 1\)"),
        (["bars.keras", "--data", "none.npz"], "at least one"),
        (["bars.keras", "--data", "complex.npz"], "expected real numbers"),
        (["bars.keras", "--data", "rows.npz", "--eps", "0"], "--eps is 0; it must be above 0"),
        (["bars.keras", "--data", "rows.npz", "--budget", "long"], "expected minutes"),
        (["bars.keras", "--data", "rows.npz", "--fail-under", "70"], "expected a share from 0 to 1"),
        (["bars.keras", "--data", "rows.npz", "--bounds", "0", "0.5"], "outside of the bounds 0 to 0.5"),
        (["bars.keras", "--data", "rows.npz", "--target", "y"], "leave it out"),
        (["price.keras", "--data", "price.npz"], "expected classes|give --tolerance"),
        (["two.keras", "--data", "rows.npz"], "expected one input"),
        (["broken.keras", "--data", "rows.npz"], "cannot be read as a .keras file"),
        (["notes.txt", "--data", "rows.npz"], "no model that is known here"),
        (["nothing", "--data", "rows.npz"], "does not exist; give a bundle folder"),
    ],
)
def test_one_sentence_for_each_mistake(
    here: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    assert main(["audit", *words]) == 2
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert re.search(expected, lines[0]), lines[0]


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.3), ("l2", 1.5)])
def test_without_eps_it_is_that_of_a_bundles_card(norm: Norm, eps: float) -> None:
    target = open_target(str(ZOO / "mnist-certified"), Opening())
    assert _own_eps(target, norm) == (eps,)
    assert _own_eps(replace(target, guarded=None), norm) == ()
