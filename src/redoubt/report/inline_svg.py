"""Matplotlib's drawings as part of a page: letters and styles that they share stand once, and nothing is said twice.

A study's file keeps every digit and stands alone; on a page with fifty of them half a pixel's tenth is enough.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from xml.etree.ElementTree import Element

from markupsafe import Markup, escape

from redoubt.report.relabel import is_comment, read_drawing, relabel

LINK = "{http://www.w3.org/1999/xlink}href"
# Digits after the point of places in the picture, and of the small shapes that are drawn at many places.
PLACES, SHAPES = 1, 2
# What matplotlib fills a figure and its axes with; on a page the page's own colour shows through.
PAPER = "fill: #ffffff"
# Points that each command takes.
TAKES = {"M": 1, "L": 1, "Q": 2, "C": 3, "Z": 0}
_TOKEN = re.compile(r"[MLQCZz]|-?[\d.]+(?:e-?\d+)?")
_NUMBER = re.compile(r"-?\d+\.\d+")
_OWN = re.compile(r"url\(#([^)]*)\)")
# Letters, which have the same name in every drawing and are the same.
_LETTER = re.compile(r"[A-Z][A-Za-z0-9]*(?:-[A-Za-z]+)*-[0-9a-f]+")


class Drawings:
    """The drawings of one page."""

    def __init__(self, say: Callable[[str], str] | None = None) -> None:
        """Begin without any.

        Args:
            say: a label inside a drawing in the page's language; left out, labels stay as they are.
        """
        self._say = say
        self._letters: dict[str, str] = {}
        self._styles: dict[str, str] = {}
        self._count = 0

    def add(self, svg: str, label: str) -> Markup:
        """One drawing.

        Args:
            svg: the text of a file, as matplotlib writes it.
            label: what it shows, for those who cannot see it.
        """
        self._count += 1
        root = read_drawing(svg)
        if self._say:
            relabel(root, self._say)
        names = {old: f"d{self._count}-{new}" for new, old in enumerate(_ids(root))}
        body = "".join(self._told(child, names, inside=False) for child in root)
        image = " pixels" if "<image" in body else ""
        size = f'width="{root.get("width")}" height="{root.get("height")}" viewBox="{root.get("viewBox")}"'
        return Markup('<svg class="drawn{}" {} role="img" aria-label="{}">{}</svg>').format(
            image,
            Markup(size),  # noqa: S704
            label,
            Markup(body),  # noqa: S704
        )

    def shared(self) -> Markup:
        """What all drawings are made of; it stands once on the page."""
        rules = "".join(f".{name}{{{style}}}" for style, name in self._styles.items())
        letters = "".join(self._letters.values())
        return Markup(  # noqa: S704
            f"<style>.drawn *{{stroke-linejoin:round;stroke-linecap:butt}}{rules}</style>"
            f'<svg width="0" height="0" aria-hidden="true"><defs>{letters}</defs></svg>'
        )

    def _told(self, element: Element, names: dict[str, str], *, inside: bool) -> str:
        """An element and all below it as text."""
        tag = "" if is_comment(element) else element.tag.split("}")[1]
        if tag in ("", "metadata", "style"):
            return ""
        name = element.get("id", "")
        if name.startswith("patch_") and all(child.get("style") == PAPER for child in element):
            return ""
        if tag == "path" and _LETTER.fullmatch(name):
            self._letters.setdefault(name, f"<path{self._attributes(element, names, digits=0)}/>")
            return ""
        below = "".join(self._told(child, names, inside=inside or tag == "defs") for child in element)
        below += escape(element.text) if tag == "text" else ""
        attributes = self._attributes(element, names, digits=SHAPES if inside else PLACES)
        if tag in ("g", "defs") and not below:
            return ""
        if tag == "g" and not attributes:
            return below
        return f"<{tag}{attributes}>{below}</{tag}>" if below else f"<{tag}{attributes}/>"

    def _attributes(self, element: Element, names: dict[str, str], *, digits: int) -> str:
        return "".join(f' {key}="{escape(value)}"' for key, value in self._kept(element, names, digits))

    def _kept(self, element: Element, names: dict[str, str], digits: int) -> Iterator[tuple[str, str]]:
        """The attributes that the drawing needs, each as short as it may be."""
        for key, value in element.attrib.items():
            if key == "id":
                if value in names or _LETTER.fullmatch(value):
                    yield "id", names.get(value, value)
            elif key == "d":
                yield "d", relative(value, digits)
            elif key == LINK:
                yield "href", f"#{names.get(value[1:], value[1:])}" if value[0] == "#" else value
            elif key == "style":
                short = value.replace(": ", ":").replace("; ", ";")
                yield "class", self._styles.setdefault(_renamed(short, names), f"s{len(self._styles)}")
            elif key in ("x", "y", "width", "height", "transform"):
                yield key, value if "scale(0.015625)" in value else _NUMBER.sub(_rounded, value)
            else:
                yield key, _renamed(value, names)


def _ids(root: Element) -> Iterator[str]:
    """The names in a drawing that something in it refers to; letters are named alike in all drawings."""
    known = {element.get("id", "") for element in root.iter()}
    used = {element.get(LINK, " ")[1:] for element in root.iter()}
    used |= {name for element in root.iter() for value in element.attrib.values() for name in _OWN.findall(value)}
    yield from sorted(name for name in known & used if name and not _LETTER.fullmatch(name))


def _renamed(value: str, names: dict[str, str]) -> str:
    return _OWN.sub(lambda found: f"url(#{names.get(found[1], found[1])})", value)


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.3g}" if abs(float(found[0])) < 1 else f"{float(found[0]):.1f}".removesuffix(".0")


# A page in another language draws the same again.
@cache
def relative(d: str, digits: int) -> str:
    """A path with every point relative to where its command began, in so many digits after the point.

    Args:
        d: of absolute commands M, L, Q, C and z, which are all that matplotlib writes.
        digits: what is cut off does not add up along the path.
    """
    parts: list[str] = []
    at, start, last, moved = (0, 0), (0, 0), "", False
    for command, points in _commands(d, 10**digits):
        if command == "Z":
            parts.append("z")
            at, last = start, ""
            continue
        steps = [(x - at[0], y - at[1]) for x, y in points]
        if command == "L" and steps == [(0, 0)] and moved:
            continue
        moved = command == "L"
        told = " ".join(_number(each, digits) for step in steps for each in step)
        parts.append(f" {told}" if command == last == "L" else command.lower() + told)
        at, last = points[-1], command
        start = at if command == "M" else start
    return "".join(parts).replace(" -", "-")


def _commands(d: str, scale: int) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Each command with its points in whole numbers."""
    command, numbers = "", []
    for token in _TOKEN.findall(d):
        if token.isalpha():
            command = token.upper()
            if command == "Z":
                yield "Z", []
            continue
        numbers.append(round(scale * float(token)))
        if len(numbers) == 2 * TAKES[command]:
            yield command, list(_pairs(numbers))
            numbers = []


def _pairs(numbers: list[int]) -> Iterable[tuple[int, int]]:
    return zip(numbers[::2], numbers[1::2], strict=True)


@cache
def _number(value: int, digits: int) -> str:
    """A whole number of the last digits, as short as it may be."""
    told = f"{value / 10**digits:.{digits}f}"
    told = told.rstrip("0").rstrip(".") if digits else told
    return re.sub(r"^(-?)0\.", r"\1.", told) if told not in ("-0", "") else "0"
