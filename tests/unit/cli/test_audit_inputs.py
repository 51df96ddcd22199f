"""Keras models and data as people have them: each is audited rightly, or refused in one sentence."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.cli import main
from tests.support import brightness

L = keras.layers
R = np.random.default_rng(0)
TABLE = R.random((40, 4), np.float32)
CLASSES = TABLE[:, :3].argmax(axis=1)
PICTURES = brightness.examples(40)
BYTES = np.round(255 * PICTURES.x).astype(np.uint8)
CODES = R.integers(0, 3, (40, 4))
FIRST = np.eye(4, 3, dtype=np.float32)
Arrays = tuple[Any, Any]


def dense(sharp: float = 20.0, **how: Any) -> Any:
    """Says which of the first three features is the largest: nothing is trained, and all is right."""
    layer = L.Dense(3, **how)
    layer.build((None, 4))
    layer.set_weights([sharp * FIRST, np.zeros(3)])
    return layer


def chain(*layers: Any, shape: tuple[int, ...] = (4,), **how: Any) -> keras.Model:
    return keras.Sequential([L.Input(shape, **how), *layers])


def of_dictionaries(names: bool = True) -> keras.Model:
    inputs = L.Input((4,), name="features")
    outputs = dense()(inputs)
    return keras.Model({"features": inputs} if names else [inputs], {"class": outputs} if names else [outputs])


def of_bytes() -> keras.Model:
    """Shares of grey inside, bytes outside."""
    return chain(L.Rescaling(1 / 255), *brightness.nearest(), shape=(4, 4, 1), dtype="uint8")


def looked_up(**how: Any) -> keras.Model:
    table, head = L.Embedding(3, 3), L.Dense(3)
    model = chain(table, L.Flatten(), head, **how)
    table.set_weights([20 * np.eye(3)])
    head.set_weights([np.concatenate([np.eye(3), np.zeros((9, 3))]), np.zeros(3)])
    return model


def recurrent(**how: Any) -> keras.Model:
    inputs = L.Input(**how) if how else L.Input((6, 1))
    return keras.Model(inputs, L.Dense(3)(L.GRU(4, stateful=bool(how))(inputs)))


def with_code(kind: str) -> keras.Model:
    @keras.saving.register_keras_serializable("mine")
    class Doubled(L.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    return chain(Doubled() if kind == "class" else L.Lambda(lambda x: 2 * x), dense())


def two_outputs() -> keras.Model:
    inputs = L.Input((4,))
    return keras.Model(inputs, [dense()(inputs), L.Dense(1)(inputs)])


@pytest.fixture
def audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """The command on a model and arrays: its status, audit.json and the one line of an error."""
    monkeypatch.chdir(tmp_path)
    for name in ("MANY", "FEW", "STEPS"):
        monkeypatch.setattr(f"redoubt.audit.plan.{name}", 12)

    def run(network: keras.Model, arrays: Arrays, *words: str) -> tuple[int, dict[str, Any], str]:
        network.save("model.keras")
        keras.saving.get_custom_objects().pop("mine>Doubled", None)
        np.savez("d.npz", x=arrays[0], y=arrays[1])
        status = main(["audit", "model.keras", "--data", "d.npz", "--budget", "1m", "--out", "out", *words])
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.strip() and "audit: " not in line]
        assert "Traceback" not in err
        assert len(lines) == (status != 0), lines
        found = json.loads(Path("out/audit.json").read_text()) if status == 0 else {}
        return status, found, "".join(lines)

    return run


GOOD: dict[str, tuple[Callable[[], keras.Model], Arrays, tuple[str, ...], str, str]] = {
    "dictionaries": (of_dictionaries, (TABLE, CLASSES), (), "gradients and bounds", ""),
    "lists": (lambda: of_dictionaries(names=False), (TABLE, CLASSES), (), "gradients and bounds", ""),
    "bytes": (of_bytes, (BYTES, PICTURES.y), ("--eps", "30"), "gradients", "by whole numbers alone"),
    "softmax twice": (
        lambda: chain(dense(activation="softmax"), L.Softmax()),
        (TABLE, CLASSES),
        (),
        "gradients and bounds",
        "and so was the softmax on which it stood",
    ),
    "log softmax": (lambda: chain(dense(), L.Activation("log_softmax")), (TABLE, CLASSES), (), "gradients", ""),
    "relu": (lambda: chain(dense(), L.ReLU()), (TABLE, CLASSES), (), "gradients and bounds", ""),
    "labels as floats": (lambda: chain(dense()), (TABLE, CLASSES.astype(float)), (), "gradients and bounds", ""),
    "labels in words": (
        lambda: chain(dense()),
        (TABLE, np.array(["a", "b", "c"])[CLASSES]),
        (),
        "gradients and bounds",
        "",
    ),
    "codes": (lambda: looked_up(dtype="int32"), (CODES, CODES[:, 0]), ("--eps", "1.5"), "scores", "whole numbers"),
}


@pytest.mark.parametrize(("make", "arrays", "words", "access", "note"), GOOD.values(), ids=GOOD)
def test_a_right_answer(
    make: Callable[[], keras.Model],
    arrays: Arrays,
    words: tuple[str, ...],
    access: str,
    note: str,
    audit: Callable[..., tuple[int, dict[str, Any], str]],
) -> None:
    status, found, _ = audit(make(), arrays, *words)
    assert status == 0
    assert found["clean"]["share"] == 1.0
    assert found["access"] == access
    assert note in " ".join(found["notes"])
    shares = [row["robust"]["share"] for row in found["rows"]]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1.0, "something is found within an eps that reaches other classes"


def test_bytes_change_by_whole_numbers_and_the_figure_is_exact(
    audit: Callable[..., tuple[int, dict[str, Any], str]],
) -> None:
    """Brightness alone decides: the exact figure is that of all pixels moved together, and 30.9 moves as far as 30."""
    network, right = of_bytes(), np.ones(40, np.bool_)
    for shift in range(-30, 31):
        moved = np.clip(BYTES.astype(int) + shift, 0, 255).astype(np.uint8)
        right &= network(moved).numpy().argmax(axis=1) == PICTURES.y
    for eps in ("30", "30.9"):
        _, found, _ = audit(network, (BYTES, PICTURES.y), "--eps", eps)
        assert found["rows"][-1]["robust"]["share"] == round(float(right.mean()), 6)


def test_one_class_in_the_data_is_stamped(audit: Callable[..., tuple[int, dict[str, Any], str]]) -> None:
    _, found, _ = audit(chain(dense()), (TABLE[CLASSES == 1], CLASSES[CLASSES == 1]))
    assert found["verdict"].startswith("NOT TRUSTED")
    assert "hold one class alone" in " ".join(check["found"] for check in found["checks"])


def test_values_over_time_are_no_picture(audit: Callable[..., tuple[int, dict[str, Any], str]]) -> None:
    x = R.random((30, 6, 1), np.float32)
    status, found, _ = audit(recurrent(), (x, np.arange(30) % 3), "--eps", "0.3")
    assert status == 0
    assert found["rows"][-1]["says"] == "L-inf 0.3 = 30 % of the range"


REFUSED: dict[str, tuple[Callable[[], keras.Model], Arrays, tuple[str, ...], str]] = {
    "two outputs": (two_outputs, (TABLE, CLASSES), (), r"keras.Model\(model.inputs\[0\], model.outputs\[0\]\)"),
    "stateful": (lambda: recurrent(batch_shape=(8, 6, 1)), (R.random((40, 6, 1)), CLASSES), (), "stateful=False"),
    "custom class": (lambda: with_code("class"), (TABLE, CLASSES), (), "holds 'Doubled', a class of its own: give a"),
    "Lambda": (lambda: with_code("Lambda"), (TABLE, CLASSES), (), "holds a Lambda layer, whose code would run"),
    "shares for bytes": (of_bytes, (PICTURES.x, PICTURES.y), (), r"casts its inputs to whole numbers, and .* hold 0\."),
    "codes, half a step": (
        lambda: looked_up(dtype="int32"),
        (CODES, CODES[:, 0]),
        ("--eps", "0.5", "--bounds", "0", "2"),
        "nothing can be perturbed within L-inf 0.5: .* from eps 1 on",
    ),
    "codes of floats, half a step": (
        looked_up,
        (CODES, CODES[:, 0]),
        ("--eps", "0.5", "--bounds", "0", "2"),
        "from eps 1 on something can",
    ),
    "codes of no word": (
        lambda: looked_up(dtype="int32"),
        (CODES, CODES[:, 0]),
        ("--eps", "5", "--bounds", "0", "9"),
        r"fails on inputs of .*not in \[0, 3\); give --bounds LO HI",
    ),
    "words": (
        lambda: chain(
            L.TextVectorization(vocabulary=["a"], output_sequence_length=2),
            L.Embedding(9, 2),
            L.Flatten(),
            dense(),
            shape=(1,),
            dtype="string",
        ),
        (np.array([["a"]] * 8), CLASSES[:8]),
        (),
        "x holds <U1; expected real numbers",
    ),
    "no channel": (of_bytes, (BYTES[..., 0], PICTURES.y), (), r"give them a channel, x\[..., None\]"),
    "a channel": (
        lambda: chain(L.Flatten(), L.Dense(3), shape=(4, 4)),
        (PICTURES.x, PICTURES.y),
        (),
        r"leave out their channel, x\[..., 0\]",
    ),
    "one tanh": (
        lambda: chain(L.Dense(1, activation="tanh")),
        (TABLE, CLASSES % 2),
        (),
        "one output that is no probability",
    ),
}
REFUSED["several values"] = (
    lambda: chain(L.Dense(2)),
    (TABLE, TABLE[:, :2]),
    ("--tolerance", "1"),
    r"y has shape \(40, 2\), several values each; .*take one of them, y\[:, 0\]",
)
DATA: dict[str, tuple[Arrays, str]] = {
    "empty": ((TABLE[:0], CLASSES[:0]), "at least one"),
    "NaN": ((np.where(TABLE > 0.9, np.nan, TABLE), CLASSES), "holds NaN or infinity"),
    "infinity": ((np.where(TABLE > 0.9, np.inf, TABLE), CLASSES), "holds NaN or infinity"),
    "beyond float32": ((TABLE.astype(float) * 1e300, CLASSES), r"e\+\d+, beyond what float32 can hold"),
    "NaN for a label": ((TABLE, np.where(CLASSES == 1, np.nan, CLASSES)), "y holds nan; expected classes from 0"),
    "negative": ((TABLE, CLASSES - 1), "y holds -1; expected classes from 0"),
    "signs": ((TABLE, 2 * (CLASSES % 2) - 1), r"y holds -1; .*signs become classes by \(y \+ 1\) / 2"),
    "too large": ((TABLE, CLASSES + 5), "the model has classes 0..2"),
    "one-hot": ((TABLE, np.eye(3)[CLASSES]), "one-hot it seems"),
    "a column": ((TABLE, CLASSES[:, None]), r"expected \(examples,\): y\[:, 0\]"),
    "one label": ((TABLE, np.array(1)), r"y has shape \(\); expected \(examples,\)$"),
    "lengths": ((TABLE[:5], CLASSES), "x holds 5 examples and y 40"),
    "constant": ((np.ones_like(TABLE), CLASSES), "none of the 4 features can change"),
}
REFUSED |= {f"data: {name}": (lambda: chain(dense()), arrays, (), told) for name, (arrays, told) in DATA.items()}


@pytest.mark.parametrize(("make", "arrays", "words", "expected"), REFUSED.values(), ids=REFUSED)
def test_one_sentence(
    make: Callable[[], keras.Model],
    arrays: Arrays,
    words: tuple[str, ...],
    expected: str,
    audit: Callable[..., tuple[int, dict[str, Any], str]],
) -> None:
    status, _, said = audit(make(), arrays, *words)
    assert status == 2
    assert re.search(expected, said), said
    assert not Path("out/audit.json").exists()
