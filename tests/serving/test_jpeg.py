"""JPEG files whose scans are cut off are told apart from whole ones, whatever their kind."""

import io
import re
import time
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import InvalidArgument
from PIL import Image

from serving.images import decode
from serving.jpeg import is_whole
from tests.support.bundles import SCHEMAS
from tests.support.images import encoded

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
SMOOTH = Image.fromarray(np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8))
FLAT = Image.new("RGB", (64, 64), (200, 10, 10))
GREY = Image.new("L", (8, 8), 128)
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "without subsampling": {"subsampling": 0, "quality": 95},
    "of low quality": {"quality": 5},
    "with restarts": {"restart_marker_blocks": 2},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
}
PICTURES = {"noise": NOISE, "smooth": SMOOTH, "flat": FLAT, "grey noise": NOISE.convert("L"), "small": GREY}
# From a scan's begin to its data, and what is neither data nor a restart.
SCAN, MARKER = re.compile(rb"\xff\xda(..)", re.DOTALL), re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


def scans(data: bytes) -> list[tuple[int, int]]:
    """Where the data of each scan begin and end."""
    found = []
    for match in SCAN.finditer(data):
        begin = match.start() + 2 + int.from_bytes(match[1], "big")
        end = MARKER.search(data, begin)
        assert end is not None
        found.append((begin, end.start()))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_whole_one_is_read(picture: str, kind: str) -> None:
    data = encoded(PICTURES[picture], "JPEG", **KINDS[kind])
    assert decode(data, SCHEMAS["digits"]).shape == (1, 8, 8, 1)


# Grey levels by which some pixel differs where one is missing; refinements that are missing make less of a difference.
SEEN = 8


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", ["noise", "smooth", "grey noise"])
def test_one_whose_scans_end_early_is_refused(picture: str, kind: str, share: float) -> None:
    data, refused = encoded(PICTURES[picture], "JPEG", **KINDS[kind]), 0
    for begin, end in scans(data):
        kept = begin + int(share * (end - begin))
        for cut in (data[:kept] + b"\xff\xd9", data[:kept] + data[end:]):
            if np.abs(pixels(cut) - pixels(data)).max() > SEEN:
                refused += 1
                with pytest.raises(InvalidArgument, match="damaged or cut short"):
                    decode(cut, SCHEMAS["digits"])
    assert refused


def test_one_without_a_restarts_data_is_refused() -> None:
    data = encoded(NOISE, "JPEG", restart_marker_blocks=1)
    first, second = (data.index(mark) for mark in (b"\xff\xd0", b"\xff\xd1"))
    with pytest.raises(InvalidArgument, match="damaged or cut short"):
        decode(data[: first + 2] + data[second:], SCHEMAS["digits"])


def test_one_without_a_colours_scan_is_refused() -> None:
    """A progressive file's first scan holds what all colours begin with."""
    data = encoded(NOISE, "JPEG", progressive=True)
    begin = scans(data)[0][0]
    header = data.rindex(b"\xff\xda", 0, begin)
    without = data[:header] + data[scans(data)[0][1] :]
    with pytest.raises(InvalidArgument, match="damaged or cut short"):
        decode(without, SCHEMAS["digits"])


@pytest.mark.parametrize("after", [b"", b"\0" * 100, b"\xff\xd8\xff\xd9", b"text"])
@pytest.mark.parametrize("fill", [b"", b"\xff", b"\xff" * 20])
def test_what_surrounds_the_data_does_not_count(fill: bytes, after: bytes) -> None:
    data = encoded(NOISE, "JPEG")
    end = scans(data)[-1][1]
    assert decode(data[:end] + fill + data[end:] + after, SCHEMAS["digits"]).shape == (1, 8, 8, 1)


def test_a_picture_within_the_picture_does_not_count() -> None:
    exif = Image.Exif()
    exif[0x010E] = encoded(NOISE.resize((16, 16)), "JPEG").decode("latin-1")
    assert decode(encoded(NOISE, "JPEG", exif=exif), SCHEMAS["digits"]).shape == (1, 8, 8, 1)


def test_what_cannot_be_told_is_let_through() -> None:
    """Of arithmetic coding the end may be left out."""
    data = encoded(NOISE, "JPEG").replace(b"\xff\xc0", b"\xff\xc9")
    with Image.open(io.BytesIO(encoded(NOISE, "JPEG"))) as image:
        assert is_whole(data, image)


def test_one_of_very_many_scans_is_refused_before_they_are_read() -> None:
    """Each goes over all pixels: in 4 MiB there is room for minutes of them."""
    data = encoded(Image.new("L", (2048, 2048), 128), "JPEG", progressive=True)
    (_, end), (_, second) = scans(data)[:2]
    header = data.index(b"\xff\xda", end)
    many = data[:header] + data[header:second] * 3000 + data[header:]
    began = time.process_time()
    with pytest.raises(InvalidArgument, match="the image has more than 100 scans; save it as a baseline JPEG or a PNG"):
        decode(many, SCHEMAS["digits"])
    assert time.process_time() - began < 2.0


def test_very_many_restarts_take_no_more_memory_than_their_fillers() -> None:
    data = encoded(NOISE, "JPEG", restart_marker_blocks=1)
    _, end = scans(data)[-1]
    with pytest.raises(InvalidArgument, match="damaged or cut short"):
        decode(data[: end - 900] + b"\xff\xd0" * 10**6 + data[end:], SCHEMAS["digits"])
