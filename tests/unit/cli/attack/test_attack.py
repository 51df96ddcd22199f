"""Every attack of the catalogue from the command line to its record."""

import contextlib
import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.attacks.core.gradient import PGD
from redoubt.cli import main
from redoubt.cli.attack import plain
from redoubt.cli.attack.learned import LEARNED
from redoubt.core.store import read_arrays
from redoubt.models.export import add_network
from redoubt.models.onnx_graph import Graph
from redoubt.scenarios.catalogue import CATALOGUE, Entry
from tests.support import brightness, tiny
from tests.support.tiny import IMAGE, NUMBER, TABLE

EFFORT = {"steps": 5, "restarts": 2, "queries": 40}
# By an attack's name, where its findings are looked at too: another eps than 0.3; all the rows instead of 3.
EPS = {"pgd": 0.25, "landscape": 0.4, "same-length": 1.5}
ON_ALL_ROWS = {"pgd", "physical", "landscape", "same-length", "transfer-matrix"}


def words(entry: Entry, bundle: Path) -> list[str]:
    """The least that an attack needs, at little effort."""
    chosen = [f"--{name}={EFFORT[name]}" for name in entry.options]
    chosen += [] if "eps" in entry.ignores else [f"--eps={EPS.get(entry.name, 0.3)}"]
    chosen += [] if "data" in entry.ignores else ["--data=rows.npz"]
    chosen += [] if "data" in entry.ignores or entry.name in ON_ALL_ROWS else ["--points=3"]
    proxies = {"transfer": "bars.keras", "transfer-matrix": str(bundle)}
    return chosen + ([f"--proxy={proxies[entry.name]}"] if entry.name in proxies else [])


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


@dataclass(frozen=True)
class Ran:
    """What an attack left on disk and on the screen."""

    folder: Path
    shown: str

    @property
    def record(self) -> dict[str, Any]:
        """As a mapping."""
        return record(self.folder)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """By their names."""
        return read_arrays(self.folder / "arrays.npz")


Runs = Callable[[str], Ran]


@pytest.fixture(scope="module")
def ran(desk: Path, bundles: Callable[[str], tiny.Guarded], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """An attack by its name on the network of pictures, run when first asked for."""
    top = tmp_path_factory.mktemp("ran")

    def run(name: str) -> Ran:
        command = ["attack", name, "bars.keras", *words(CATALOGUE[name], bundles(IMAGE).folder)]
        with contextlib.chdir(desk), contextlib.redirect_stdout(io.StringIO()) as shown:
            assert main([*command, f"--out={top / name}"]) == 0
        return Ran(top / name, shown.getvalue())

    return functools.cache(run)


@pytest.fixture(autouse=True)
def at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_attack_runs(name: str, ran: Runs, trained: Callable[[str], tiny.Case]) -> None:
    entry, done = CATALOGUE[name], ran(name)
    found = done.record
    assert (found["complete"], found["stopped"], found["attack"]["name"]) == (True, None, name)
    assert found["attack"] == {"name": name, "knows": entry.knows, "paper": entry.paper} | {
        option: EFFORT[option] for option in entry.options
    }
    assert found["given"]["eps"] == (None if "eps" in entry.ignores else EPS.get(name, 0.3))
    assert found["target"]["digest"]
    assert (done.folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert f"{name} on bars.keras" in done.shown
    assert str(done.folder / "record.json") in done.shown
    if entry.make is not None:
        rows = len(trained(IMAGE).test) if name in ON_ALL_ROWS else 3
        assert 0 <= found["found"]["robust_accuracy"]["share"] <= found["found"]["clean_accuracy"]["share"]
        assert found["found"]["examples"] == found["found"]["robust_accuracy"]["n"] == rows


@pytest.mark.parametrize("name", ["square", "substitute"])
def test_the_same_words_write_the_same_bytes(
    name: str, ran: Runs, bundles: Callable[[str], tiny.Guarded], tmp_path: Path
) -> None:
    command = ["attack", name, "bars.keras", *words(CATALOGUE[name], bundles(IMAGE).folder)]
    assert main([*command, f"--out={tmp_path}"]) == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["arrays.npz", "picture.png", "record.json"]
    for file in files:
        assert (ran(name).folder / file).read_bytes() == (tmp_path / file).read_bytes()


def test_what_needs_a_procedure_has_one() -> None:
    assert set(LEARNED) == {name for name, entry in CATALOGUE.items() if entry.make is None}


def test_the_record_is_what_the_arrays_say(trained: Callable[[str], tiny.Case], ran: Runs) -> None:
    arrays, found = ran("pgd").arrays, ran("pgd").record["found"]
    case = trained(IMAGE)
    assert arrays["finished"].all()
    assert np.abs(arrays["x_adv"] - case.test.x).max() == pytest.approx(0.25, abs=1e-6)
    for name, x in (("clean_accuracy", arrays["x"]), ("robust_accuracy", arrays["x_adv"])):
        right = case.network(x).numpy().argmax(axis=1) == case.test.y
        assert found[name]["share"] == pytest.approx(right.mean(), abs=1e-6)
    assert found["robust_accuracy"]["share"] < found["clean_accuracy"]["share"] - 0.1
    assert found["adversarial_distance"]["mean"] == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("name", ["course", "hopskipjump"])
def test_a_target_is_named_by_its_label(name: str, trained: Callable[[str], tiny.Case], tmp_path: Path) -> None:
    command = ["attack", name, "bars.keras", "--data=rows.npz", "--eps=0.9", "--targeted=2", f"--out={tmp_path}"]
    assert main(command) == 0
    arrays, case = read_arrays(tmp_path / "arrays.npz"), trained(IMAGE)
    hit = (case.network(arrays["x_adv"]).numpy().argmax(axis=1) == 2)[arrays["y"] != 2]
    found = record(tmp_path)
    assert found["given"]["targeted"] == "2"
    assert found["found"]["examples"] == len(hit) < len(case.test), "rows of the wanted class are not counted"
    assert found["found"]["robust_accuracy"]["share"] == pytest.approx(1 - hit.mean(), abs=1e-6)
    assert hit.mean() > 0.5


@pytest.mark.parametrize(("name", "attack"), [(IMAGE, "square"), (TABLE, "fgsm"), (NUMBER, "square")])
def test_a_bundle_is_judged_with_its_guard_too(
    name: str, attack: str, bundles: Callable[[str], tiny.Guarded], tmp_path: Path
) -> None:
    guarded = bundles(name)
    rows = guarded.case.test
    np.savez(tmp_path / "rows.npz", x=rows.x, y=rows.y)
    extra = [] if guarded.case.schema.labels else [f"--tolerance={tiny.TOLERANCE}"]
    extra += ["--queries=20"] if attack == "square" else []
    command = ["attack", attack, str(guarded.folder), f"--data={tmp_path}/rows.npz", "--eps=0.3", *extra]
    assert main([*command, f"--out={tmp_path}"]) == 0
    found = record(tmp_path)
    assert found["target"] == {
        "name": str(guarded.folder),
        "kind": "bundle",
        "task": guarded.case.schema.task,
        "digest": guarded.model.digest,
    }
    assert found["found"]["guarded"]["robust_accuracy"]["n"] == len(rows)
    x_adv = read_arrays(tmp_path / "arrays.npz")["x_adv"]
    if name != IMAGE:
        assert np.array_equal(x_adv[:, 2:], rows.x[:, 2:]), "a category changed"


def test_who_knows_the_guard_attacks_the_guard(bundles: Callable[[str], tiny.Guarded], tmp_path: Path) -> None:
    folder, shares = bundles(IMAGE).folder, {}
    for extra in ([], ["--knows-guard"]):
        command = ["attack", "pgd", str(folder), "--data=rows.npz", "--eps=0.3", "--steps=20", *extra]
        assert main([*command, f"--out={tmp_path}"]) == 0
        found = record(tmp_path)
        shares[found["given"]["knows_guard"]] = found["found"]["guarded"]["robust_accuracy"]["share"]
    assert shares[True] < shares[False]


def test_physical_is_shown_beside_a_digital_attack(ran: Runs) -> None:
    survival = ran("physical").record["found"]["survival"]
    assert set(survival) == {"physical", "pgd"}
    assert survival["physical"]["clean"] == survival["pgd"]["clean"]


def test_a_landscape_counts_what_flips_on_the_way(trained: Callable[[str], tiny.Case], ran: Runs) -> None:
    arrays, along = ran("landscape").arrays, ran("landscape").record["found"]["along"]
    case = trained(IMAGE)
    right = case.network(case.test.x).numpy().argmax(axis=1) == case.test.y
    assert (arrays["distances"][0], arrays["distances"][-1]) == (0, np.float32(0.4))
    for name, shares in along.items():
        margins = arrays[f"margin_{name}"]
        assert margins.shape == (len(case.test), len(arrays["distances"]))
        assert np.array_equal(margins[:, 0] <= 0, right)
        assert shares["flipped"]["n"] == right.sum()
        assert shares["flipped"]["share"] == pytest.approx((margins[right] > 0).any(axis=1).mean(), abs=1e-6)
        assert shares["margin_at_eps"] == pytest.approx(margins[:, -1].mean(), abs=1e-5)
        assert 0 < shares["flipped_at"]["median"] <= 0.4
    assert along["pgd"]["flipped"]["share"] > 0.8 > 0.5 > along["random"]["flipped"]["share"]


def test_where_all_is_flat_only_chance_is_a_direction(desk: Path, tmp_path: Path) -> None:
    flat = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    flat.layers[-1].set_weights([np.zeros((36, 3), np.float32), np.float32([1, 0, -1])])
    flat.save(tmp_path / "flat.keras")
    command = ["attack", "landscape", f"{tmp_path}/flat.keras", "--data=all-top.npz", "--eps=0.1", f"--out={tmp_path}"]
    assert main(command) == 0
    along = record(tmp_path)["found"]["along"]
    assert "gradient" not in along
    assert along["random"]["flipped"]["share"] == 0
    assert "flipped_at" not in along["random"]


def test_two_changes_of_the_same_length(trained: Callable[[str], tiny.Case], ran: Runs) -> None:
    arrays, found = ran("same-length").arrays, ran("same-length").record["found"]
    case = trained(IMAGE)
    assert ran("same-length").record["given"]["norm"] == "l2"
    for name in ("spread", "local"):
        change = (arrays[name] - case.test.x).reshape(len(case.test), -1)
        assert np.linalg.norm(change, axis=1) == pytest.approx(1.5, abs=1e-4)
        assert found[name]["l2"] == pytest.approx(1.5, abs=1e-4)
        assert found[name]["linf"] == pytest.approx(np.abs(change).max(axis=1).mean(), abs=1e-5)
        right = case.network(arrays[name]).numpy().argmax(axis=1) == case.test.y
        assert found[name]["robust_accuracy"]["share"] == pytest.approx(right.mean(), abs=1e-6)
    assert found["local"]["linf"] > 2 * found["spread"]["linf"]


def test_a_matrix_of_given_networks(
    bundles: Callable[[str], tiny.Guarded], trained: Callable[[str], tiny.Case], ran: Runs
) -> None:
    folder, case = str(bundles(IMAGE).folder), trained(IMAGE)
    found = ran("transfer-matrix").record["found"]
    right = case.network(case.test.x).numpy().argmax(axis=1) == case.test.y
    # The bundle holds the same network, so every cell is the same.
    assert found["examples"] == {"trained_on": 0, "measured_on": len(case.test), "correct_on_all": right.sum()}
    assert found["clean_accuracy"] == {"bars.keras": right.mean(), folder: right.mean()}
    shares = {share for row in found["success_rate"].values() for share in row.values()}
    assert len(shares) == 1
    assert shares.pop() > 0.3
    assert np.array_equal(ran("transfer-matrix").arrays["success_rate"].shape, (2, 2))


@pytest.mark.parametrize(
    ("name", "own"),
    [(IMAGE, ["logistic", "mlp", "cnn", "wide cnn"]), (NUMBER, ["linear", "mlp", "deep mlp"])],
)
def test_a_matrix_of_networks_of_its_own(
    name: str, own: list[str], bundles: Callable[[str], tiny.Guarded], tmp_path: Path
) -> None:
    guarded = bundles(name)
    batch = tiny.rows(name, 200, seed=5)
    np.savez(tmp_path / "rows.npz", x=batch.x, y=batch.y)
    command = ["attack", "transfer-matrix", str(guarded.folder), f"--data={tmp_path}/rows.npz", "--eps=0.3"]
    command += [] if guarded.case.schema.labels else [f"--tolerance={tiny.TOLERANCE}"]
    assert main([*command, "--steps=5", f"--out={tmp_path}"]) == 0
    found = record(tmp_path)["found"]
    assert (found["examples"]["trained_on"], found["examples"]["measured_on"]) == (100, 100)
    assert set(found["success_rate"]) == {str(guarded.folder), *own}
    assert all(set(row) == set(found["success_rate"]) for row in found["success_rate"].values())
    assert min(found["clean_accuracy"].values()) > 0.6, "a network that was not trained"


def test_numbers_of_somebodys_own_network(tmp_path: Path) -> None:
    """Its inputs have no units but their own, so eps = 1 is one of each."""
    command = [
        "attack",
        "pgd",
        "price.keras",
        "--data=price.npz",
        "--bounds",
        "-10",
        "5000",
        "--eps=1",
        "--tolerance=60",
    ]
    assert main([*command, f"--out={tmp_path}"]) == 0
    assert record(tmp_path)["given"]["criterion"] == "Tolerance(tolerance=60.0)"


def test_the_default_folder_tells_target_and_attack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desk: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["attack", "noise", f"{desk}/bars.keras", f"--data={desk}/rows.npz", "--eps=0.1"]) == 0
    assert (tmp_path / "reports" / "attacks" / "bars" / "noise" / "record.json").is_file()


def test_interrupted_before_anything_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PGD, "perturb", interrupt)
    assert main(["attack", "fgsm", "bars.keras", "--data=rows.npz", "--eps=0.1", f"--out={tmp_path}/new"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted before anything was finished"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), None], ids=["ctrl-c", "attack-breaks"])
def test_what_was_done_is_kept(
    error: BaseException | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = plain.ROWS
    run = PGD.perturb
    calls = []

    def perturb(self: PGD, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            if error:
                raise error
            return run(self, *args)[1:]
        return run(self, *args)

    monkeypatch.setattr(PGD, "perturb", perturb)
    assert main(["attack", "fgsm", "bars.keras", "--data=rows.npz", "--eps=0.1", f"--out={tmp_path}"]) == 1
    found = record(tmp_path)
    assert not found["complete"]
    assert found["stopped"] == "interrupted" if error else "the attack returned shape" in found["stopped"]
    assert found["found"]["examples"] == found["found"]["robust_accuracy"]["n"] == whole < found["data"]["examples"]
    assert read_arrays(tmp_path / "arrays.npz")["finished"].sum() == whole
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("partial results are kept and marked incomplete")


def test_what_audit_takes_is_attacked_and_certified_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ONNX file by its gradients and a function by its scores: there is one way to open a target."""
    batch = brightness.examples(12)
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", x=batch.x, y=batch.y)
    network, graph = brightness.model(), Graph()
    output = add_network(graph, network, "x")
    Path("m.onnx").write_bytes(graph.build({"x": ("n", *batch.x.shape[1:])}, {"y": (output, ("n", 3))}))
    Path("function_of_mine.py").write_text("import onnxruntime\ns = onnxruntime.InferenceSession('m.onnx')\n")
    with Path("function_of_mine.py").open("a") as file:
        file.write("def scores(x):\n    return s.run(None, {'x': x})[0]\n")
    given = ["--data=d.npz", "--eps=0.2"]
    for words in (["pgd", "m.onnx"], ["square", "function_of_mine:scores", "--queries=50"]):
        assert main(["attack", *words, *given, "--out=out"]) == 0
        found = json.loads(Path("out/record.json").read_text())
        assert found["found"]["clean_accuracy"]["share"] == 1.0
        assert found["found"]["robust_accuracy"]["share"] < 1.0
    assert found["answers"] > 0
    assert main(["attack", "pgd", "function_of_mine:scores", *given]) == 2
    assert "function_of_mine:scores gives no gradients" in capsys.readouterr().err
