"""Mathematics as MathML, which browsers set themselves, and as outlines where one cannot."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import matplotlib as mpl
from latex2mathml.converter import convert
from markupsafe import Markup
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

# Outlines are in thousandths of the font's size, and so are whole numbers.
EM = 1000
SCALE = EM / TextToPath.FONT_SCALE
LETTERS = {1: "m", 2: "l", 3: "q", 4: "c", 79: "z"}
# How many points each command takes.
TAKES = {1: 1, 2: 1, 3: 2, 4: 3, 79: 1}
# Several letters as an index are a word, not a product.
_WORD = re.compile(r"(?<=[_^]\{)([A-Za-z]{2,})(?=\})")
# What is written below an operator on a line of its own.
_LIMITS = re.compile(r"(\\(?:min|max))_")
_LETTERS = re.compile(r'<mrow>((?:<mi mathvariant="normal">[^<]*</mi>){2,})</mrow>')


@cache
def to_mathml(tex: str) -> Markup:
    """A formula as MathML, set as on a line of its own.

    Args:
        tex: what matplotlib's mathtext understands, without dollar signs.

    Raises:
        ValueError: a command that MathML has no word for.
    """
    found = convert(
        _LIMITS.sub(r"\1\\limits_", _WORD.sub(r"\\mathrm{\1}", tex)).replace(r"\arg", r"\mathrm{arg}\,"),
        display="block",
    )
    # At the left, as the lines around it, and yet with limits below their sums.
    found = found.replace('display="block"', 'displaystyle="true"', 1)
    if "\\" in found:
        raise ValueError(f"{tex!r} has a command that cannot be written as MathML; got {found!r}")
    # A word is one identifier: letter by letter it would be read out, and set, as a product.
    return Markup(_LETTERS.sub(lambda word: f"<mi>{re.sub('<[^>]*>', '', word[1])}</mi>", found))  # noqa: S704


class Outlines:
    """Formulas as SVG inside the page; what they are made of is drawn once, however often it appears."""

    def __init__(self) -> None:
        """Begin without a letter."""
        self._glyphs: dict[str, str] = {}

    def draw(self, tex: str) -> Markup:
        """A formula in the size and colour of the text around it.

        Args:
            tex: what matplotlib's mathtext understands, without dollar signs.

        Raises:
            ValueError: mathtext does not understand it.
        """
        (width, height, depth), (placed, outlines, rules) = _set(tex)
        for name, (points, codes) in outlines.items():
            self._glyphs.setdefault(name, _commands(points, codes))
        drawn = [
            f'<use href="#{name}" transform="translate({SCALE * x:.0f} {SCALE * y:.0f})'
            + (f' scale({size:g})"/>' if size != 1 else '"/>')
            for name, x, y, size in placed
        ]
        drawn += [f'<path d="{_commands(points, codes)}"/>' for points, codes in rules]
        wide, high, low = (SCALE * each for each in (width, height - depth, depth))
        return Markup(  # noqa: S704 - numbers and names of fonts
            f'<svg viewBox="0 {-high - 20:.0f} {wide + 40:.0f} {high + low + 40:.0f}" aria-hidden="true" '
            f'style="width:{(wide + 40) / EM:.2f}em"><g transform="scale(1 -1)">{"".join(drawn)}</g></svg>'
        )

    def glyphs(self) -> Markup:
        """What all that was drawn is made of; it stands once on the page."""
        paths = "".join(f'<path id="{name}" d="{outline}"/>' for name, outline in sorted(self._glyphs.items()))
        return Markup(f'<svg width="0" height="0" aria-hidden="true"><defs>{paths}</defs></svg>')  # noqa: S704


# A page in another language has the same formulas.
@cache
def _set(tex: str) -> tuple[tuple[float, float, float], tuple[Any, Any, Any]]:
    """Width, height and depth of a formula; its letters, their outlines and the rules between them."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["mathtext.fontset"] = "cm"
        # It takes its family of letters from the settings at its birth.
        font, path = FontProperties(size=TextToPath.FONT_SCALE), TextToPath()
        size = path.get_text_width_height_descent(f"${tex}$", font, ismath=True)
        placed, outlines, rules = path.get_glyphs_mathtext(font, f"${tex}$")
        return size, (list(placed), outlines, list(rules))


def _commands(points: Iterable[Sequence[float]], codes: Iterable[int]) -> str:
    """An outline as the commands of an SVG path, each point relative to where the command began."""
    whole = [(round(SCALE * float(x)), round(SCALE * float(y))) for x, y in points]
    order, at, start, parts, index = [int(code) for code in codes], (0, 0), (0, 0), [], 0
    while index < len(order):
        code = order[index]
        taken = whole[index : index + TAKES[code]]
        index += TAKES[code]
        if code == 79:
            parts.append("z")
            at = start
            continue
        parts.append(LETTERS[code] + " ".join(f"{x - at[0]} {y - at[1]}" for x, y in taken))
        at = taken[-1]
        start = at if code == 1 else start
    return "".join(parts).replace(" -", "-")
