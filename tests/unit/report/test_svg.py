"""Figures as files: the same bytes whatever zlib packs with, and the pixels that were drawn."""

import base64
import io
import re
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

from redoubt.core.png import stored_png
from redoubt.report.figures import canvas
from redoubt.report.svg import DPI, figure_to_svg, to_data_uri

IMAGE = np.random.default_rng(0).random((8, 9, 3))


def drawn() -> Figure:
    """A line with markers, clipped, and an image."""
    figure, axes = canvas(1, 2, 4, 2)
    axes[0, 0].plot(np.random.default_rng(0).random(50), "o-")
    axes[0, 1].imshow(IMAGE)
    return figure


def images(svg: str) -> list[Image.Image]:
    encoded = re.findall(r"data:image/png;base64,([^\"]*)", svg)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in encoded]


@pytest.mark.parametrize("level", [0, 1, 9])
def test_the_bytes_do_not_depend_on_how_images_are_packed(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = figure_to_svg(drawn())
    save = PngImagePlugin._save

    def packed(image: Image.Image, stream: io.BytesIO, name: str, **options: object) -> None:
        image.encoderinfo["compress_level"] = level
        save(image, stream, name, **options)

    monkeypatch.setitem(Image.SAVE, "PNG", packed)
    assert figure_to_svg(drawn()) == usual


def test_nothing_in_the_file_is_of_the_day_or_of_the_version() -> None:
    svg = figure_to_svg(drawn())
    assert not re.search(r"<dc:date|<dc:creator|Matplotlib|20\d\d-\d\d", svg)
    assert to_data_uri(drawn()).startswith("data:image/svg+xml;base64,")


def test_a_figure_is_as_large_on_a_page_as_its_inches_say() -> None:
    root = ElementTree.fromstring(figure_to_svg(drawn()))
    assert (root.attrib["width"], root.attrib["height"]) == (str(4 * DPI), str(2 * DPI))


def test_an_image_keeps_its_own_pixels() -> None:
    (image,) = images(figure_to_svg(drawn()))
    assert image.size == (9, 8)
    assert np.abs(np.asarray(image)[..., :3] / 255 - IMAGE).max() <= 1 / 255


@given(
    height=st.integers(1, 90),
    width=st.sampled_from([1, 2, 7, 200, 182, 16_383, 16_384]),
    channels=st.sampled_from([1, 3, 4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stored_png_holds_its_pixels(height: int, width: int, channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    png = stored_png(pixels)
    with Image.open(io.BytesIO(png)) as image:
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start])
    assert len(zlib.decompress(png[start + 4 : start + 4 + length])) == height * (channels * width + 1)
