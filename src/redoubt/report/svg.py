"""Figures as SVG whose bytes depend on the figure alone: no date, no random name, no compressed pixels."""

import base64
import io
import re

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from redoubt.core.png import png_uri

# Pixels of the page per inch of a figure.
DPI = 130
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


def _stored(encoded: str) -> str:
    """An embedded PNG's data URI with the same pixels, stored."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    return png_uri(pixels)


def _pixels(points: str) -> str:
    return f'"{round(float(points) * DPI / 72)}"'
