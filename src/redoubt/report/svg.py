"""Figures as SVG whose bytes depend on the figure alone: no date, no random name, no compressed pixels."""

import base64
import io
import re
import struct
import zlib

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

# Pixels of the page per inch of a figure.
DPI = 130
# What one stored block of DEFLATE holds at most (RFC 1951, 3.2.4).
BLOCK = 65_535
# What PNG calls grey, RGB and RGBA, by channels.
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
_SIZE = re.compile(r' width="([0-9.]+)pt" height="([0-9.]+)pt"')
_EMBEDDED = re.compile(r'xlink:href="data:image/png;base64,([^"]*)" id="[^"]*"')


def figure_to_svg(figure: Figure) -> str:
    """Draw a figure as SVG, letters as outlines and images as uncompressed PNG.

    Args:
        figure: drawn as large as a bitmap of `DPI` dots per inch would be.

    Returns:
        The text of the file.
    """
    buffer = io.StringIO()
    # Names of clip paths and markers are hashes, of a random salt unless one is given.
    with mpl.rc_context({"svg.hashsalt": "redoubt", "svg.fonttype": "path", "svg.image_inline": True}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    count = iter(range(10**6))
    text = _EMBEDDED.sub(lambda found: f'xlink:href="{_stored(found[1])}" id="image{next(count)}"', buffer.getvalue())
    return _SIZE.sub(lambda found: " width={} height={}".format(*map(_pixels, found.groups())), text, count=1)


def to_data_uri(figure: Figure) -> str:
    """A figure as SVG inside a data URI."""
    return data_uri(figure_to_svg(figure))


def data_uri(svg: str) -> str:
    """The text of an SVG file inside a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def stored_png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels as PNG without compression, which builds of zlib do each in their way.

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


def _stored(encoded: str) -> str:
    """An embedded PNG's data URI with the same pixels, stored."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    return png_uri(pixels)


def _pixels(points: str) -> str:
    return f'"{round(float(points) * DPI / 72)}"'
