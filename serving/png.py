"""Whether a PNG file holds all the pixels that its header announces; Pillow would make black ones of the others."""

import struct
import zlib
from collections.abc import Iterator

# After the signature: length, kind, width, height, bits per channel, colour type, and at its end the interlacing.
HEADER = struct.Struct(">8xI4sIIBBxxB")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of each pass of an interlaced image the first column and row, and the steps to the next ones.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
AT_ONCE = 64 * 1024


def is_whole(data: bytes) -> bool:
    """Whether no pixel is missing.

    Args:
        data: a PNG file that a decoder has read to its end, so that its chunks are in order.
    """
    *_, width, height, bits, colour, interlaced = HEADER.unpack_from(data)
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    missing = sum(
        _size(-(-(width - left) // right), -(-(height - top) // down), bits * CHANNELS[colour])
        for left, top, right, down in passes
    )
    unpacker = zlib.decompressobj()
    for packed in _pixels(data):
        rest = bytes(packed)
        while rest and missing > 0:
            missing -= len(unpacker.decompress(rest, AT_ONCE))
            rest = unpacker.unconsumed_tail
    return missing <= 0 or missing <= len(unpacker.flush())


def _size(width: int, height: int, bits: int) -> int:
    """Bytes of some rows of pixels, each after a byte that says how it is filtered."""
    return height * (1 + -(-width * bits // 8)) if width > 0 and height > 0 else 0


def _pixels(data: bytes) -> Iterator[memoryview]:
    """What the chunks of pixels hold."""
    start, view = 8, memoryview(data)
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind == b"IDAT":
            yield view[start + 8 : start + 8 + length]
        start += 12 + length
