"""Uploads: what is read, how it is fitted to the task, and that damage is told apart from a bug."""

import io
import struct
import zlib

import numpy as np
import pytest
from bentoml.exceptions import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from serving.images import MAX_PIXELS, decode, is_quick
from tests.support.bundles import SCHEMAS
from tests.support.images import bomb, chunk, encoded

GREY, COLOUR = SCHEMAS["digits"], SCHEMAS["colours"]
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)


def test_pixels_come_through_exactly() -> None:
    x = decode(encoded(Image.fromarray(PIXELS)), GREY)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[0, :, :, 0], PIXELS.astype(np.float32) / np.float32(255))


SOURCES = {
    "grey": Image.fromarray(PIXELS),
    "colour": Image.fromarray(PIXELS).convert("RGB"),
    "palette": Image.fromarray(PIXELS).convert("P"),
    "black and white": Image.fromarray(PIXELS).convert("1"),
    "opaque alpha": Image.fromarray(PIXELS).convert("RGBA"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_eight_bit_mode_becomes_the_tasks_channels(kind: str) -> None:
    assert decode(encoded(SOURCES[kind]), GREY).shape == (1, 8, 8, 1)
    wide = SOURCES[kind].resize((8, 6))
    assert decode(encoded(wide), COLOUR).shape == (1, 6, 8, 3)


def test_another_size_is_resized() -> None:
    large = Image.fromarray(PIXELS).resize((80, 80), Image.Resampling.NEAREST)
    x = decode(encoded(large), GREY)[0, :, :, 0]
    # The antialiasing filter reaches into the neighbouring blocks, so that only the likeness is asked for.
    assert np.corrcoef(x.ravel(), PIXELS.ravel())[0, 1] > 0.9


def test_a_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(PIXELS).transpose(Image.Transpose.ROTATE_90)
    x = decode(encoded(turned, exif=exif), GREY)
    np.testing.assert_array_equal(x[0, :, :, 0], PIXELS.astype(np.float32) / np.float32(255))


def test_quick_is_what_is_small_in_bytes_and_in_pixels() -> None:
    assert is_quick(encoded(Image.fromarray(PIXELS)))
    assert not is_quick(encoded(Image.fromarray(PIXELS), "JPEG"))
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8)
    assert not is_quick(encoded(Image.fromarray(noise))), "many bytes"
    assert not is_quick(encoded(Image.new("1", (1000, 1000)))), "many pixels in few bytes"
    assert not is_quick(b"\x89PNG")


def jpeg_with(*tags: tuple[int, int, int, bytes], after: bytes = b"") -> bytes:
    """A JPEG of PIXELS whose EXIF block holds orientation 6 and some tags by hand: number, type, count, four bytes."""
    rows = sorted([(0x112, 3, 1, b"\0\6\0\0"), *tags])
    block = b"".join(struct.pack(">HHL", *row[:3]) + row[3] for row in rows)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(rows)) + block + b"\0\0\0\0" + after
    return encoded(Image.fromarray(PIXELS), "JPEG", exif=exif, quality=95)


BAD_TAGS = {
    "a rational below 0": jpeg_with((0x11A, 10, 1, struct.pack(">L", 38)), after=struct.pack(">ll", -72, 1)),
    "a number as text": jpeg_with((0x103, 2, 2, b"a\0\0\0")),
    "a size below 0": jpeg_with((0x100, 9, 1, struct.pack(">l", -1))),
    "a tag past the end": jpeg_with((0x10F, 2, 60_000, struct.pack(">L", 2**31))),
    "a type that is none": jpeg_with((0x10F, 99, 1, b"\0\0\0\0")),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", BAD_TAGS)
def test_a_bad_tag_is_no_bad_picture(name: str) -> None:
    upright = decode(encoded(Image.fromarray(PIXELS), "JPEG", quality=95), GREY)[0, :, :, 0]
    x = decode(BAD_TAGS[name], GREY)[0, :, :, 0]
    assert np.array_equal(x, np.rot90(upright, -1)) or np.array_equal(x, upright)


@pytest.mark.parametrize("orientation", [0, 1, 9, 65_535, "1", "6", 6.0, (6, 6), b"\6", 2**40, -6])
def test_an_orientation_that_makes_no_sense_turns_nothing(orientation: object, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    monkeypatch.setattr(Image.Image, "getexif", lambda _: exif)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(PIXELS)), GREY)[0, :, :, 0] * 255, PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(PIXELS), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal((decode(data, GREY)[0, :, :, 0] * 255).round(), expected)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(data=st.data())
def test_any_exif_block_leaves_the_picture_readable(data: st.DataObject) -> None:
    block = data.draw(st.binary(max_size=80))
    start = data.draw(
        st.sampled_from([b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\2", b"Exif\0\0II*\0\x08\0\0\0\2\0"])
    )
    x = decode(encoded(Image.fromarray(PIXELS), "JPEG", exif=start + block), GREY)
    assert x.shape == (1, 8, 8, 1)


COLOURED = Image.fromarray(PIXELS).convert("RGB")
READ = {
    "a broken colour profile": encoded(COLOURED, "JPEG", icc_profile=b"no profile" * 300),
    "a large EXIF block": encoded(COLOURED, "JPEG", exif=b"Exif\0\0" + b"\0" * 65_000),
    "the first of a phone's two pictures": encoded(COLOURED, "MPO", save_all=True, append_images=[COLOURED.rotate(90)]),
    "the first of an animation": encoded(COLOURED, save_all=True, append_images=[COLOURED.rotate(90)]),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", READ)
def test_the_pixels_are_read_whatever_surrounds_them(name: str) -> None:
    x = decode(READ[name], GREY)[0, :, :, 0]
    assert np.corrcoef(x.ravel(), PIXELS.ravel())[0, 1] > 0.9


def test_ink_is_not_read_as_light() -> None:
    light = Image.new("CMYK", (8, 8), (0, 0, 0, 25))
    assert decode(encoded(light, "JPEG"), GREY).min() > 0.8
    # The marker says that 255 is no ink; without it nobody can tell.
    unsaid = encoded(light, "JPEG").replace(b"Adobe", b"Other")
    with pytest.raises(InvalidArgument, match="the image is CMYK"):
        decode(unsaid, GREY)


def wide_png(colour: int) -> bytes:
    """A PNG of 16 bits per channel, grey (0) or coloured (2)."""
    rows = (b"\0" + bytes(range(16)) * (3 if colour else 1)) * 8
    header = struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_of(rows: bytes, interlaced: int = 0, *, cuts: int = 1) -> bytes:
    """A grey PNG of 8 by 8 pixels and of these rows, in so many pieces; they may be too few or too many."""
    packed = zlib.compress(rows)
    size = -(-len(packed) // cuts)
    pieces = [chunk(b"IDAT", packed[start : start + size]) for start in range(0, len(packed), size)]
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(pieces) + chunk(b"IEND", b"")


ROWS = (b"\0" + b"\xff" * 8) * 8
# By its seven passes, of 1, 1, 1, 2, 2, 4 and 4 rows.
PASSES = [(1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8)]
INTERLACED = b"".join((b"\0" + b"\xff" * width) * height for height, width in PASSES)


@pytest.mark.parametrize("whole", [png_of(ROWS), png_of(ROWS, cuts=3), png_of(INTERLACED, 1), png_of(ROWS + ROWS)])
def test_a_whole_png_is_read(whole: bytes) -> None:
    assert decode(whole, GREY).min() == 1.0


REFUSED = {
    "PNG whose last row ends early": (png_of(ROWS[:-1]), "damaged or cut short"),
    "PNG without its last row": (png_of(ROWS[:-9]), "damaged or cut short"),
    "PNG of one row": (png_of(ROWS[:9]), "damaged or cut short"),
    "interlaced PNG whose rows end early": (png_of(INTERLACED[:-9], 1), "damaged or cut short"),
    "sixteen bits of grey": (wide_png(0), "16 bits or more per channel"),
    "sixteen bits of colour": (wide_png(2), "16 bits or more per channel"),
    "other proportions": (encoded(Image.new("L", (16, 9))), "16 x 9 pixels; crop it to the proportions 8 x 8"),
    "transparent": (encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 9))), "transparent pixels"),
    "sixteen bits": (encoded(Image.new("I;16", (8, 8))), "16 bits or more per channel; save it with 8 bits"),
    "GIF": (encoded(Image.fromarray(PIXELS), "GIF"), "not a PNG or JPEG image"),
    "text": (b"hello", "not a PNG or JPEG image"),
    "nothing": (b"", "not a PNG or JPEG image"),
    "PNG cut short": (encoded(Image.fromarray(PIXELS).resize((80, 80)))[:200], "damaged or cut short"),
    "JPEG cut short": (encoded(Image.fromarray(PIXELS).resize((80, 80)), "JPEG")[:700], "damaged or cut short"),
    "20,000 x 20,000": (bomb(20_000), "far too large"),
    "10,000 x 10,000": (bomb(10_000), "far too large"),
    "2,049 x 2,049": (bomb(2_049), f"limit is {MAX_PIXELS} pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(InvalidArgument, match=reason):
        decode(data, GREY)


def test_a_task_of_other_channels_takes_no_uploads() -> None:
    with pytest.raises(InvalidArgument, match="images of 2 channels; POST them to /predict as lists"):
        decode(encoded(Image.fromarray(PIXELS)), GREY.model_copy(update={"shape": (8, 8, 2)}))


# Pillow warns of some damage before it gives up on it.
@pytest.mark.filterwarnings("ignore::UserWarning")
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG"]))
def test_damage_is_refused_or_harmless(data: st.DataObject, kind: str) -> None:
    damaged = bytearray(encoded(Image.fromarray(PIXELS), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(1, len(damaged))) :]
    try:
        x = decode(bytes(damaged), GREY)
    except InvalidArgument:
        return
    assert x.shape == (1, 8, 8, 1)
    assert x.min() >= 0.0
    assert x.max() <= 1.0
