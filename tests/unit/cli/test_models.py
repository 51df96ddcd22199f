"""Keras files as people have them: each is attacked or certified rightly, or refused in one sentence."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.certify import worst_case as margins
from redoubt.cli import main

layers = keras.layers
X = np.random.default_rng(0).random((16, 4), np.float32)


def dense(units: int, seed: int = 1, **settings: Any) -> keras.layers.Layer:
    return layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed=seed), **settings)


def chain(*made: keras.layers.Layer, **settings: Any) -> keras.Model:
    return keras.Sequential([keras.Input((4,), **settings), *made])


def functional(build: Callable[[Any], Any]) -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, build(x))


def residual(x: Any) -> Any:
    return dense(3, 2)(dense(4, activation="relu")(x) + 5.0 * x)


def called_twice(x: Any) -> Any:
    same = dense(4, activation="relu")
    return dense(3, 2)(same(same(x)))


def average(x: Any) -> Any:
    return layers.Average()([dense(3, 1)(x), dense(3, 2)(x)])


def open_width() -> keras.Model:
    x = keras.Input((None,))
    return keras.Model(x, layers.Reshape((-1,))(x))


def save(network: keras.Model, folder: Path, y: np.ndarray | None = None, x: np.ndarray = X) -> None:
    """The file, and rows with its own answers, so that all is right before an attack."""
    network.save(folder / "m.keras")
    own = np.zeros(len(x), np.int64) if y is None else y
    np.savez(folder / "rows.npz", x=x, y=own)


def answers(network: keras.Model, x: np.ndarray = X) -> np.ndarray:
    return np.asarray(network(x, training=False)).argmax(axis=1)


def run(command: str, folder: Path) -> int:
    words = command.split()
    target = folder / words.pop(2 if words[0] == "attack" else 1)
    words.insert(2 if words[0] == "attack" else 1, str(target))
    return main([*words, f"--data={folder}/rows.npz", f"--out={folder}/out"])


PGD, CERTIFY = "attack pgd m.keras --eps 0.1 --steps 3", "certify m.keras --eps 0.001"
REFUSED: dict[str, tuple[Callable[[], keras.Model], str, str]] = {
    "operator last": (
        lambda: functional(lambda x: keras.ops.negative(dense(3)(x))),
        CERTIFY,
        "is a Negative, which has no sound",
    ),
    "float16": (lambda: chain(dense(3, dtype="mixed_float16")), CERTIFY, "is a Dense in float16"),
    "float64": (lambda: chain(dense(3, dtype="float64")), CERTIFY, "is a Dense in float64"),
    "never built": (lambda: keras.Sequential([layers.Dense(3)]), PGD, "was never built"),
    "looked up": (
        lambda: chain(layers.Embedding(10, 4), layers.Flatten(), dense(3)),
        PGD,
        "casts its inputs to whole numbers, and the examples hold 0.",
    ),
    "binned": (
        lambda: chain(layers.Discretization(bin_boundaries=[0.2, 0.5]), layers.Rescaling(1.0), dense(3)),
        "attack carlini-wagner m.keras --eps 0.1 --steps 3",
        "no gradient reaches its inputs",
    ),
    "whole numbers": (
        lambda: chain(layers.Rescaling(1.0), dense(3), dtype="int32"),
        PGD,
        "casts its inputs to whole numbers, and the examples hold 0.",
    ),
    "words": (
        lambda: chain(layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot"), dense(3), dtype="string"),
        PGD,
        "takes words; expected numbers",
    ),
    "open width": (open_width, PGD, "the number of classes is undefined"),
    "one number": (lambda: chain(dense(1)), PGD, "give --tolerance"),
    "two inputs": (
        lambda: keras.Model(made := [keras.Input((4,)), keras.Input((2,))], dense(3)(layers.Concatenate()(made))),
        PGD,
        "expected one input and outputs of shape",
    ),
    "Lambda": (
        lambda: chain(layers.Lambda(lambda x: x * 2), dense(3)),
        PGD,
        "holds a Lambda layer, whose code would run",
    ),
}


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_rightly_is_refused_in_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, command, says = REFUSED[name]
    save(build(), tmp_path)
    assert run(command, tmp_path) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert len([line for line in told.err.splitlines() if line.startswith("error")]) == 1
    assert "│" not in told.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("width", "activation", "says"),
    [(3, "softmax", "last softmax was unwrapped"), (1, "sigmoid", "as two"), (3, "sigmoid", "independently")],
)
def test_probabilities_are_unwrapped_and_it_is_said(
    width: int, activation: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = chain(dense(width, activation=activation))
    told = answers(network)
    save(network, tmp_path, (network(X).numpy()[:, 0] > 0.5).astype(np.int64) if width == 1 else told)
    assert run(PGD, tmp_path) == 0
    assert says in capsys.readouterr().out
    found = json.loads((tmp_path / "out/record.json").read_text())
    assert says in found["notes"][0]
    assert found["found"]["clean_accuracy"]["share"] == 1.0


@pytest.mark.parametrize("precision", ["mixed_float16", "float64"])
@pytest.mark.parametrize("attack", ["pgd", "apgd-ce", "carlini-wagner"])
def test_another_precision_is_attacked(precision: str, attack: str, tmp_path: Path) -> None:
    network = chain(dense(8, dtype=precision, activation="relu"), dense(3, 2, dtype=precision))
    save(network, tmp_path, answers(network))
    assert run(f"attack {attack} m.keras --eps 0.3 --steps 3", tmp_path) == 0
    found = json.loads((tmp_path / "out/record.json").read_text())["found"]
    assert found["clean_accuracy"]["share"] == 1.0
    assert found["robust_accuracy"]["share"] < 1.0


def test_what_has_no_gradient_is_still_asked(tmp_path: Path) -> None:
    network, codes = chain(layers.Embedding(10, 4), layers.Flatten(), dense(3)), np.round(9 * X)
    save(network, tmp_path, answers(network, codes), codes)
    assert run("attack square m.keras --eps 1 --bounds 0 9 --queries 20", tmp_path) == 0


def test_a_file_of_the_older_format_and_a_saved_model_say_what_to_save(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(chain(dense(3)), tmp_path)
    (tmp_path / "m.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    assert run(PGD, tmp_path) == 2
    assert "HDF5 file of the older format; convert it: keras.models.load_model" in capsys.readouterr().err
    os.remove(tmp_path / "m.keras")
    (tmp_path / "m.keras").mkdir()
    (tmp_path / "m.keras/saved_model.pb").write_bytes(b"\x08\x01")
    assert run(PGD, tmp_path) == 2
    assert "is a SavedModel of TensorFlow; save the Keras model" in capsys.readouterr().err


def overflowing(above: float) -> keras.Model:
    """Three classes by two paths that cancel out, and overflow where the first input lies above a value."""
    network = chain(
        layers.Dense(3, activation="relu"), layers.Dense(2, use_bias=False), layers.Dense(3, use_bias=False)
    )
    first, huge = np.zeros((4, 3), np.float32), np.zeros((3, 2), np.float32)
    first[0, 0], first[1:3, 1:] = 1e8, np.eye(2)
    huge[0] = 1e30
    bias = np.array([-1e8 * above, 0.0, 0.0], np.float32)
    network.set_weights([first, bias, huge, np.array([[1e3, 1e3, 1e3], [-1e3, -1e3, -1e3]], np.float32)])
    return network


@pytest.mark.parametrize(
    "command",
    [PGD, CERTIFY, *(f"attack {name} m.keras --eps 0.01" for name in ("noise", "square", "hopskipjump"))],
)
def test_an_answer_that_is_no_number_is_no_class(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the last examples overflow: argmax would take the first class for their answer, and call it robust."""
    x = np.where(np.arange(len(X))[:, None] < 12, 0.1, 0.9).astype(np.float32) * np.ones((1, 4), np.float32)
    network = overflowing(0.5)
    network.save(tmp_path / "m.keras")
    np.savez(tmp_path / "rows.npz", x=x, y=np.zeros(len(x), np.int64))
    assert run(command, tmp_path) == 2
    told = capsys.readouterr()
    assert "NaN or infinity for 4 of 16 clean inputs, the first of them example 12" in told.err
    assert not (tmp_path / "out").exists()


def test_an_adversarial_example_without_an_answer_is_not_robust(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = overflowing(0.5)
    network.save(tmp_path / "m.keras")
    np.savez(tmp_path / "rows.npz", x=np.full_like(X, 0.49), y=np.zeros(len(X), np.int64))
    assert run("attack noise m.keras --eps 0.4", tmp_path) == 2
    assert "NaN or infinity for the adversarial example" in capsys.readouterr().err


def test_only_what_the_network_answers_right_is_certified(tmp_path: Path) -> None:
    network = chain(dense(8, activation="relu"), dense(3, 2))
    right = answers(network)
    save(network, tmp_path, np.where(np.arange(len(X)) % 2, right, (right + 1) % 3))
    assert run(CERTIFY, tmp_path) == 0
    found = json.loads((tmp_path / "out/record.json").read_text())["found"]
    assert found["L-inf 0"]["share"] == 0.5
    assert 0 < found["L-inf 0.001"]["share"] <= 0.5


@pytest.mark.parametrize(("wrong", "eps", "where"), [("labels", 0.001, "the example itself"), ("eps", 0.9, "its eps-")])
def test_a_proof_that_the_network_refutes_ends_the_run(
    wrong: str,
    eps: float,
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bounds that are wrong: of every label as given, or of the centre alone instead of the whole ball."""
    network = chain(dense(8, activation="relu"), dense(3, 2))
    right = answers(network)
    save(network, tmp_path, right if wrong == "eps" else (right + 1) % 3)
    inner = margins.ball
    if wrong == "eps":
        monkeypatch.setattr(margins, "ball", lambda x, eps, bounds: inner(x, 0.0, bounds))
    else:
        monkeypatch.setattr(margins, "worst_outputs", lambda network, box, y, criterion: keras.ops.one_hot(y, 3))
    assert run(f"certify m.keras --eps {eps}", tmp_path) == 2
    told = capsys.readouterr()
    assert "is certified, and is misclassified at" in told.err
    assert where in told.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("build", [residual, called_twice, average])
def test_what_is_no_chain_is_certified_as_the_graph_that_it_is(build: Callable[[Any], Any], tmp_path: Path) -> None:
    network = functional(build)
    save(network, tmp_path, answers(network))
    assert run(CERTIFY, tmp_path) == 0
    found = json.loads((tmp_path / "out" / "record.json").read_text())["found"]
    assert found["L-inf 0.001"]["share"] > 0.5
