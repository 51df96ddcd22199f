"""Pixels as PNG whose bytes depend on the pixels alone: builds of zlib compress each in their way, so nothing does."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

# What one stored block of DEFLATE holds at most (RFC 1951, 3.2.4).
BLOCK = 65_535
# What PNG calls grey, RGB and RGBA, by channels.
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def stored_png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels as PNG without compression.

    Args:
        pixels: grey, RGB or RGBA, `(height, width, 1 or 3 or 4)`.
    """
    height, width, channels = pixels.shape
    # Each line begins with the number of its filter: none.
    lines = np.pad(pixels.reshape(height, channels * width), ((0, 0), (1, 0))).tobytes()
    deflated = b"".join(_block(lines, start) for start in range(0, len(lines), BLOCK))
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    data = b"\x78\x01" + deflated + struct.pack(">I", zlib.adler32(lines))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels as uncompressed PNG inside a data URI."""
    return "data:image/png;base64," + base64.b64encode(stored_png(pixels)).decode()


def _block(data: bytes, start: int) -> bytes:
    """One stored block, which says whether it is the last, and its length twice."""
    block = data[start : start + BLOCK]
    return struct.pack("<BHH", start + BLOCK >= len(data), len(block), len(block) ^ 0xFFFF) + block


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
