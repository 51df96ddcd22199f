"""The words inside matplotlib's drawings in another language, as text that the browser sets."""

import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

SVG = "{http://www.w3.org/2000/svg}"
# Letters are outlines in hundredths of the font's size.
UNITS = 100
# How wide the last letter is, on average; matplotlib says only where it begins.
LAST = 60
_SCALE = re.compile(r"\s*scale\(([\d.]+) -[\d.]+\)")
_PLACE = re.compile(r"translate\(([-\d.]+)")


def read_drawing(svg: str) -> Element:
    """A drawing with its comments, in which matplotlib keeps the words that it draws as outlines."""
    return ElementTree.fromstring(svg, XMLParser(target=TreeBuilder(insert_comments=True)))  # noqa: S314 - our own


def is_comment(element: Element) -> bool:
    """Whether it is a comment, whose tag is the function that makes comments."""
    return callable(element.tag)


def relabel(root: Element, say: Callable[[str], str]) -> None:
    """Replace the outlines of every label that reads differently in the other language by text.

    Args:
        root: of a drawing as `read_drawing` gives it; changed in place.
        say: a label in the other language, or as it is.
    """
    for group, above in _groups(root):
        for before, outline in zip(list(group), list(group)[1:], strict=False):
            label = (before.text or "").strip() if is_comment(before) else ""
            said = say(label)
            if said != label:
                _as_text(outline, said, _anchor(above, outline.get("transform", "")))


def labels(root: Element) -> list[str]:
    """Every word and number in a drawing."""
    return [(each.text or "").strip() for each in root.iter() if is_comment(each)]


def _groups(element: Element, above: tuple[str, ...] = ()) -> list[tuple[Element, tuple[str, ...]]]:
    """The groups that hold a label, each with the names of the groups around it."""
    if str(element.get("id", "")).startswith("text_"):
        return [(element, above)]
    return [found for child in element for found in _groups(child, (*above, child.get("id", "")))]


def _anchor(above: tuple[str, ...], transform: str) -> str:
    """Which end of a label stays where it was: the one that a sign in a legend, or an axis, stands beside."""
    if any(name.startswith("legend") for name in above):
        return "start"
    # Matplotlib numbers the axes of a figure in turn: x, y, x, y.
    axes = [int(name.rsplit("_", 1)[1]) for name in above if name.startswith("matplotlib.axis_")]
    return "end" if axes and axes[-1] % 2 == 0 and "rotate" not in transform else "middle"


def _as_text(outline: Element, said: str, anchor: str) -> None:
    transform = outline.get("transform", "")
    scale = _SCALE.search(transform)
    letters = [each for each in outline if each.tag == f"{SVG}use"]
    if scale is None or not letters:
        return
    size = UNITS * float(scale[1])
    begin = _PLACE.search(letters[-1].get("transform", ""))
    width = ((float(begin[1]) if begin else 0) + LAST) * float(scale[1])
    place = {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    for letter in letters:
        outline.remove(letter)
    outline.set("transform", _SCALE.sub("", transform))
    text = ElementTree.SubElement(outline, f"{SVG}text", {"x": f"{place:.1f}"})
    text.set("style", f"font-size: {size:g}px; text-anchor: {anchor}")
    text.text = said
