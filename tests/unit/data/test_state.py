"""Unfinished work on disk, whole and damaged."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from redoubt.core.store import write_arrays
from redoubt.data.state import resume

ARRAYS: dict[str, NDArray[Any]] = {"x": np.linspace(0, 1, 50), "note": np.array("text")}


def whole() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **ARRAYS)
    return stream.getvalue()


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


def same(found: dict[str, NDArray[Any]] | None) -> bool:
    return found is not None and all(np.array_equal(found[name], array) for name, array in ARRAYS.items())


def test_a_whole_state_is_taken_up_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays(tmp_path / "state.npz", ARRAYS)
    assert same(resume(tmp_path / "state.npz", dict))
    assert resume(tmp_path / "none.npz", dict) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b"not a state", whole()[:100], whole()[:-1], whole()[50:], npy()],
    ids=["empty", "zeros", "text", "beginning", "last-byte-lost", "end", "another-form"],
)
def test_a_damaged_state_is_named_and_discarded(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    assert resume(path, dict) is None
    assert not path.exists()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{path} is damaged (")
    assert said.err.count("\n") == 1


def test_a_state_of_other_arrays_is_damaged_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays(tmp_path / "state.npz", ARRAYS)
    assert resume(tmp_path / "state.npz", lambda arrays: arrays["weights"]) is None
    assert "is damaged (KeyError: 'weights')" in capsys.readouterr().err
    assert not (tmp_path / "state.npz").exists()


@settings(max_examples=150)
@given(st.data())
def test_whatever_byte_is_wrong_no_wrong_number_comes_out(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    content = bytearray(whole())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("state") / "state.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = resume(path, lambda arrays: {name: arrays[name] for name in ARRAYS})
    assert found is None or same(found)
    assert path.exists() == (found is not None)
