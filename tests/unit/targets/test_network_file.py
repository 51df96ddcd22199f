"""A stranger's network files: forged, cut off or swollen ones are one sentence, within limits."""

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from redoubt.cli import main
from redoubt.targets import network_file as files
from redoubt.targets.network_file import NetworkFileError, of_bundle, open_network
from tests.support import tiny
from tests.support.tiny import IMAGE

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a good file holds."""
    path = tmp_path_factory.mktemp("good") / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def described(side: int) -> bytes:
    """Weights of side x side numbers of which none is stored: HDF5 fills in zeros."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("layers/dense/vars/0", (side, side), "f4", chunks=(64, 64))
    return stream.getvalue()


def scrambled(weights: bytes) -> bytes:
    broken = bytearray(weights)
    broken[200:1200:13] = b"\xff" * len(broken[200:1200:13])
    return bytes(broken)


FORGED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "deep": (CONFIG, lambda was: b"[" * 100_000, r"cannot be read as a .keras file \(RecursionError: "),
    "wordy": (CONFIG, lambda was: was + b" " * 2**25, "describes its layers in 32 MiB; at most 32 MiB are read"),
    "cut off": (WEIGHTS, lambda was: was[: len(was) // 2], r"cannot be read as a .keras file \(OSError: "),
    "scrambled": (WEIGHTS, scrambled, r"cannot be read as a .keras file \(RuntimeError: "),
    "zip bomb": (WEIGHTS, lambda was: was + bytes(2**27), "grows [0-9,]+-fold to 128 MiB when unpacked, at most 200-"),
    "hollow": (WEIGHTS, lambda was: described(2**13), "grows [0-9,]+-fold to 256 MiB when unpacked, at most 200-"),
    "vast": (WEIGHTS, lambda was: described(2**20), "takes 4,096 GiB unpacked; at most 2 GiB are taken"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_one_sentence(name: str, parts: dict[str, bytes], tmp_path: Path) -> None:
    part, forge, says = FORGED[name]
    path = packed(tmp_path / "m.keras", {**parts, part: forge(parts[part])})
    with pytest.raises(NetworkFileError, match=f"^'{path}' {says}[^\n]*$"):
        open_network(path)


def test_a_layer_that_the_memory_cannot_hold(
    parts: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((4, 4), np.float32), y=np.zeros(4, np.int64))
    huge = parts[CONFIG].replace(b'"units": 3', b'"units": 1000000000000000')
    path = packed(tmp_path / "m.keras", {**parts, CONFIG: huge})
    assert main(["certify", str(path), f"--data={tmp_path}/rows.npz", "--eps=0.1"]) == 2
    assert "cannot be read as a .keras file (" in capsys.readouterr().err


def test_the_weights_of_a_bundle_are_held_to_the_same(bundles: Callable[[str], tiny.Guarded], tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundles(IMAGE).folder, folder)
    assert of_bundle(folder).output_shape == (None, 3)
    (folder / WEIGHTS).write_bytes(described(2**13))
    with pytest.raises(NetworkFileError, match="-fold to 256 MiB when unpacked"):
        of_bundle(folder)


def test_honest_files_keep_clear_of_the_limits(parts: dict[str, bytes], tmp_path: Path) -> None:
    assert open_network(packed(tmp_path / "m.keras", parts)).output_shape == (None, 3)
    assert files.GROWTH_FROM >= 2**26
