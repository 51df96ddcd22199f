"""Sums come to the same bits whatever caches a processor has: what TensorFlow cuts them into blocks by is set."""

import ctypes
import hashlib
import struct
import sys
from pathlib import Path

import pytest

from redoubt.training import block_sizes
from redoubt.training.block_sizes import CACHES, FILLED, SIZES, pin_block_sizes, symbol

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the library is read as Linux has it")
# Caches of a server of another kind, in which these sums are cut into other blocks.
OTHER = (48 * 2**10, 2 * 2**20, 480 * 2**20)


@pytest.fixture(scope="module")
def library() -> tuple[int, Path]:
    import tensorflow as tf

    tf.matmul(tf.ones((2, 2)), tf.ones((2, 2)))
    found = block_sizes._loaded()
    assert found is not None
    return found


def address(library: tuple[int, Path]) -> int:
    place = symbol(library[1], *SIZES)
    assert place is not None
    return library[0] + place


def gradient() -> str:
    """A convolution's gradient by its filters, a sum over every place of a batch, as bits."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, kernel = (tf.constant(rng.standard_normal(shape), tf.float32) for shape in ((32, 8, 8, 16), (3, 3, 16, 32)))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        total = tf.reduce_sum(tf.square(tf.nn.conv2d(x, kernel, 1, "SAME")))
    return hashlib.sha256(tape.gradient(total, kernel).numpy().tobytes()).hexdigest()


def test_a_sum_is_the_same_whatever_caches_there_are(library: tuple[int, Path]) -> None:
    """The variable is written to as if the processor had answered otherwise, and pinned again."""
    held = (ctypes.c_int64 * 3).from_address(address(library))
    assert pin_block_sizes()
    assert tuple(held) == CACHES
    pinned = gradient()
    held[:] = OTHER
    assert gradient() != pinned, "these sums would not have differed on that machine"
    assert pin_block_sizes()
    assert gradient() == pinned


def test_they_are_where_they_were_last_seen(library: tuple[int, Path]) -> None:
    """Another TensorFlow is searched, and this fails: then bring the two numbers in block_sizes up to date."""
    _, path = library
    with path.open("rb") as file, block_sizes.mmap.mmap(file.fileno(), 0, access=block_sizes.mmap.ACCESS_READ) as read:
        table, text = block_sizes._sections(read)
        assert table is not None
        assert text is not None
        for name, hint in (SIZES, FILLED):
            (at, *_) = struct.unpack_from("<IBBHQQ", read, table[0] + 24 * hint)
            assert read[text[0] + at : text[0] + at + len(name)] == name.encode()


def test_what_is_not_where_it_was_is_looked_for(library: tuple[int, Path]) -> None:
    _, path = library
    for name, hint in (SIZES, FILLED):
        assert symbol(path, name, hint + 1) == symbol(path, name, hint) == symbol(path, name, 10**9)
    assert symbol(path, "no_such_symbol", 0) is None


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x02\x01" + bytes(200)], ids=["empty", "other", "no-symbols"])
def test_what_is_no_such_library_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(content + b"x")
    assert symbol(path, *SIZES) is None
