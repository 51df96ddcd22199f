"""Uploads: what is read, how it is fitted to the task, and that damage is told apart from a bug."""

import numpy as np
import pytest
from bentoml.exceptions import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from serving.images import MAX_PIXELS, decode
from tests.serving.bundles import SCHEMAS
from tests.serving.pictures import bomb, encoded

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


REFUSED = {
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
