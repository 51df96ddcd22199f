"""One sentence per mistake, and no traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from redoubt.cli import main
from tests.support import tiny
from tests.support.tiny import IMAGE, NUMBER

ROWS = "--data=rows.npz"
URL = "http://127.0.0.1:9"
MISTAKES = {
    "eps-negative": (f"pgd bars.keras {ROWS} --eps -0.1", "eps is -0.1; it must be >= 0 and finite"),
    "eps-missing": (f"pgd bars.keras {ROWS}", "say how large a perturbation may be with --eps"),
    "eps-unread": (
        f"patch bars.keras {ROWS} --eps 0.1",
        "--eps does not apply to patch, whose effort is set by --steps",
    ),
    "bounds": (f"pgd bars.keras {ROWS} --eps 0.1 --bounds 1 0", "--bounds are 1 0; the first must be below the second"),
    "bounds-of-bundle": (f"pgd BUNDLE {ROWS} --bounds 0 1", "--bounds: 'BUNDLE' has its own; leave it out"),
    "labels": ("pgd bars.keras --data=labels.npz --eps 0.1", "labels span 0..3; the model has classes 0..2"),
    "halves": ("pgd bars.keras --data=halves.npz --eps 0.1", "expected class numbers 0..2"),
    "words": ("pgd bars.keras --data=words.npz --eps 0.1", "y holds <U3; expected class numbers from 0"),
    "columns": (
        "pgd bars.keras --data=columns.npz --eps 0.1",
        "y has shape (64, 1); expected one class or value each: y[:, 0]",
    ),
    "nan": ("pgd bars.keras --data=nan.npz --eps 0.1", "cannot be attacked: inputs hold NaN or infinity"),
    "bytes": ("pgd bars.keras --data=bytes.npz --eps 0.1", "inputs span [0, 254], outside their bounds"),
    "shape": ("pgd bars.keras --data=shape.npz --eps 0.1", "examples have shape (5, 6, 1); bars.keras takes (6, 6, 1)"),
    "two-outputs": (f"pgd two.keras {ROWS} --eps 0.1", "expected one input and outputs of shape (batch, classes)"),
    "broken": (f"pgd broken.keras {ROWS} --eps 0.1", "'broken.keras' cannot be read as a .keras file ("),
    "nothing": (
        f"pgd nowhere {ROWS} --eps 0.1",
        "'nowhere' does not exist; give a bundle folder, a .keras or .onnx file",
    ),
    "no-network": (
        f"pgd notes.txt {ROWS} --eps 0.1",
        "'notes.txt' is no model that is known here; give a bundle folder",
    ),
    "no-bundle": (f"pgd . {ROWS} --eps 0.1", ". is no whole bundle: "),
    "no-target": ("pgd", "say which attack and on what: redoubt attack NAME TARGET"),
    "name": (f"pdg bars.keras {ROWS}", "no attack 'pdg'; did you mean 'pgd'? known attacks: noise, fgsm, "),
    "no-rows": ("pgd bars.keras --eps 0.1", "no examples: give an NPZ file with x and y by --data"),
    "no-file": (
        "pgd bars.keras --data=none --eps 0.1",
        "'none' was not found; expected an NPZ file with the arrays x, y",
    ),
    "no-npz": ("pgd bars.keras --data=notes.txt --eps 0.1", "'notes.txt' is not an NPZ file of plain arrays: "),
    "npy": (
        "pgd bars.keras --data=array.npy --eps 0.1",
        "it is one array (NPY); save it by np.savez('rows.npz', x=x, y=y)",
    ),
    "only-x": ("pgd bars.keras --data=only-x.npz --eps 0.1", "'only-x.npz' has no array 'y'; expected x, y, found x; "),
    "keras-for-rows": (
        "pgd bars.keras --data=bars.keras --eps 0.1",
        "'bars.keras' is a Keras model, no data; expected an NPZ file with x, y",
    ),
    "folder-for-rows": ("pgd bars.keras --data=. --eps 0.1", "'.' is a folder; expected an NPZ file"),
    "objects": ("pgd bars.keras --data=objects.npz --eps 0.1", "array 'x' holds Python objects, which could run code"),
    "complex": ("pgd bars.keras --data=complex.npz --eps 0.1", "x holds complex128; expected real numbers"),
    "empty": ("pgd bars.keras --data=none.npz --eps 0.1", "none.npz holds no examples"),
    "two-sources": (f"pgd bars.keras {ROWS} --task digits", "--data and --task both name examples"),
    "task": ("pgd bars.keras --task digits --eps 0.1", "holds no data set"),
    "task-no-name": (
        "pgd bars.keras --task ../../out --eps 0.1",
        "argument --task: a name is made of the letters a to z, digits, '-' and '_'",
    ),
    "option-unread": (
        f"fgsm bars.keras {ROWS} --steps 3",
        "--steps does not apply to fgsm, whose effort is set by nothing",
    ),
    "option-zero": (f"pgd bars.keras {ROWS} --steps 0", "argument --steps: '0' is no number >= 1"),
    "norm": (f"pgd bars.keras {ROWS} --norm l1", "invalid choice: 'l1'"),
    "seed": (f"pgd bars.keras {ROWS} --eps 0.1 --seed -1", "--seed is -1; it must be >= 0"),
    "target-class": (
        f"pgd bars.keras {ROWS} --eps 0.1 --targeted 7",
        "no class '7' in bars.keras; its classes are 0, 1, 2",
    ),
    "target-only": ("pgd bars.keras --data=all-top.npz --eps 0.1 --targeted 0", "every example already has class 0"),
    "number": (
        "pgd price.keras --data=price.npz --eps 0.1",
        "price.keras has one output that is no probability: give --tolerance",
    ),
    "number-class": ("course price.keras --data=price.npz --bounds -9 5000 --eps 0.1 --tolerance 9", "use pgd"),
    "number-copied": ("substitute price.keras --data=price.npz --bounds -9 5000 --eps 1 --tolerance 9", "use square"),
    "tolerance": (
        f"pgd bars.keras {ROWS} --eps 0.1 --tolerance 9",
        "--tolerance is for regression; bars.keras is a classifier",
    ),
    "half-a-row": (
        f"universal bars.keras {ROWS} --eps 0.1 --points 1",
        "half of them train the perturbation, half measure it",
    ),
    "proxy-missing": (f"transfer bars.keras {ROWS} --eps 0.1", "transfer needs a proxy network of the attacker's"),
    "proxy-unread": (f"pgd bars.keras {ROWS} --eps 0.1 --proxy bars.keras", "pgd does not take --proxy"),
    "proxy-other": (
        f"transfer bars.keras {ROWS} --eps 0.1 --proxy price.keras",
        "price.keras has one output that is no probability",
    ),
    "proxy-itself": (
        f"transfer-matrix bars.keras {ROWS} --eps 0.1 --proxy bars.keras",
        "bars.keras is the target, so it is in the matrix already",
    ),
    "matrix-of-one-row": (
        f"transfer-matrix bars.keras {ROWS} --eps 0.1 --points 1",
        "half of them train the perturbation, half measure it",
    ),
    "landscape-nowhere": (f"landscape bars.keras {ROWS} --eps 0", "landscape walks as far as eps: give one above 0"),
    "minimal-nowhere": (f"minimal bars.keras {ROWS} --eps 0", "minimal searches from 0 up to eps: give one above 0"),
    "length-none": (f"same-length bars.keras {ROWS} --eps 0", "length is 0; it must be > 0 and at most"),
    "length-too-long": (f"same-length bars.keras {ROWS} --eps 99", "length is 99; it must be > 0 and at most"),
    "length-of-table": (
        "same-length price.keras --data=price.npz --bounds -9 5000 --eps 1 --tolerance 9",
        "same-length needs images; price.keras takes inputs of shape (4,)",
    ),
    "length-norm": (f"same-length bars.keras {ROWS} --eps 1 --norm l2", "--norm does not apply to same-length"),
    "table-printed": ("physical price.keras --data=price.npz --bounds -9 5000 --eps 1 --tolerance 9", "only images"),
    "table-counts": (
        "reprogram price.keras --tolerance 9",
        "reprogram needs an image classifier with pixels in [0, 1]",
    ),
    "guard": (
        f"pgd bars.keras {ROWS} --eps 0.1 --knows-guard",
        "--knows-guard is for bundles; bars.keras has no guard",
    ),
    "bundle": (
        f"pgd bars.keras {ROWS} --eps 0.1 --bundle BUNDLE",
        "--bundle tells what a URL serves; 'bars.keras' is none",
    ),
    "url-gradients": (
        f"pgd {URL} {ROWS} --eps 0.1 --bundle BUNDLE",
        f"pgd is a white-box attack, and {URL} gives no gradients; noise, ",
    ),
    "url-task": (f"square {URL} {ROWS} --eps 0.1", f"{URL} serves more than one task: say which with --task NAME"),
    "url-bundle": (
        f"square {URL} {ROWS} --eps 0.1 --task bars",
        "models/bars/champion is no folder; give that of the model",
    ),
    "url-other": (f"square {URL} {ROWS} --eps 0.1 --task risk --bundle BUNDLE", "is of task 'bars', not 'risk'"),
    "url-closed": (f"square {URL} {ROWS} --eps 0.1 --bundle BUNDLE", f"{URL} cannot be reached (ConnectError"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_sentence(
    name: str,
    desk: Path,
    bundles: Callable[[str], tiny.Guarded],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(desk)
    line, says = MISTAKES[name]
    bundle = str(bundles(IMAGE).folder)
    try:
        status = main(["attack", *[word.replace("BUNDLE", bundle) for word in line.split()]])
    except SystemExit as end:
        status = end.code
    told = capsys.readouterr()
    assert status == 2
    assert told.out == ""
    sentences = [line for line in told.err.splitlines() if line and "/s]" not in line]
    assert len(told.err.splitlines()) == 1 or len(sentences) == 1, told.err
    assert says.replace("BUNDLE", bundle) in told.err
    assert told.err.splitlines()[-1].startswith("error: ")
    assert not (desk / "reports").exists(), "nothing was attacked, so there is nothing to record"


def test_no_command() -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_a_mistake_of_the_programs_own_is_no_users_mistake(
    desk: Path, monkeypatch: pytest.MonkeyPatch, trained: Callable[[str], tiny.Case]
) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setattr("redoubt.cli.rows._inputs", lambda x, target: [].index(NUMBER))
    with pytest.raises(ValueError, match="is not in list"):
        main(["attack", "pgd", "bars.keras", ROWS, "--eps=0.1"])
