"""Mathematics as pictures: the page needs no network, no script and no font of its own."""

import io
from functools import cache

import matplotlib as mpl
from matplotlib import mathtext
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from redoubt.report.svg import data_uri

SIZE = 12.0
# mathtext measures in points, a page in pixels.
PIXELS = 96 / 72


@cache
def to_svg(tex: str) -> str:
    """A formula as SVG, in the size of the text around it.

    Args:
        tex: what matplotlib's mathtext understands, without dollar signs.

    Returns:
        A data URI.

    Raises:
        ValueError: mathtext does not understand it.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["mathtext.fontset"] = "cm"
        drawn = mathtext.MathTextParser("path").parse(f"${tex}$", prop=FontProperties(size=SIZE))
        outline = TextPath((0, 0), f"${tex}$", size=SIZE)
    width, height, depth = drawn.width, drawn.height, drawn.depth
    view = f"0 {-height - 1:.2f} {width + 2:.2f} {height + depth + 2:.2f}"
    size = f'width="{(width + 2) * PIXELS:.1f}" height="{(height + depth + 2) * PIXELS:.1f}"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="{view}">'
        f'<path transform="scale(1,-1)" fill="#1f2937" d="{_commands(outline)}"/></svg>'
    )
    return data_uri(svg)


def _commands(outline: Outline) -> str:
    letters = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    stream = io.StringIO()
    for points, code in outline.iter_segments(simplify=False):
        numbers = " ".join(f"{point:.2f}" for point in points)
        stream.write("Z" if code == Outline.CLOSEPOLY else f"{letters[code]}{numbers}")
    return stream.getvalue()
