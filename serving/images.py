"""An uploaded PNG or JPEG as one network input; nothing is decoded before its size is known to be sane."""

import io

import numpy as np
from bentoml.exceptions import InvalidArgument
from PIL import ExifTags, Image, UnidentifiedImageError

from redoubt.bundle.base.types import Floats
from redoubt.bundle.schema import Schema
from serving import jpeg, png

MAX_PIXELS = 2048 * 2048
# Of a JPEG file: each goes over all of its pixels, and a progressive one has ten.
MAX_SCANS = 100
MODES = {1: "L", 3: "RGB"}
# Where a PNG file's header says how many bits a channel has.
PNG_DEPTH = 24
# How a PNG file begins, and where its header says how wide and how high it is.
PNG, PNG_SIDES = b"\x89PNG\r\n\x1a\n", (16, 20)
# Of a file whose chunks may all be bombs, a thousand times as large as they come.
QUICK_BYTES, QUICK_PIXELS = 4096, 256 * 256
DAMAGED = "the image file is damaged or cut short"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_quick(data: bytes) -> bool:
    """Whether an upload is so small, in bytes and in pixels, that it is decoded in less time than a thread takes."""
    if len(data) > QUICK_BYTES or not data.startswith(PNG):
        return False
    width, height = (int.from_bytes(data[place : place + 4], "big") for place in PNG_SIDES)
    return width * height <= QUICK_PIXELS


def decode(data: bytes, schema: Schema) -> Floats:
    """Decode an upload.

    The image is turned upright by its EXIF tag, made grey or RGB by the task's channels, and, if its size is not the
    task's, resized by antialiased bilinear interpolation; its proportions must be the task's. Of several images in one
    file (MPO, APNG) the first is taken. Pixels are value / 255, never inverted.

    Args:
        data: the file.
        schema: of an image task.

    Returns:
        Array `(1, height, width, channels)`, float32 in [0, 1].

    Raises:
        InvalidArgument: not a PNG or JPEG, damaged, too large, transparent, of other proportions or bit depth.
    """
    height, width, channels = schema.shape
    if channels not in MODES:
        raise InvalidArgument(f"the task takes images of {channels} channels; POST them to /predict as lists")
    picture = _open(data, MODES[channels])
    if abs(picture.width * height / width - picture.height) > 1:
        raise InvalidArgument(
            f"the image is {picture.width} x {picture.height} pixels; crop it to the proportions {width} x {height}"
        )
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return (np.asarray(picture, dtype=np.float32) / np.float32(255.0)).reshape(1, height, width, channels)


def _open(data: bytes, mode: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            _refuse_unfit(image, data)
            image.load()
            if not (png.is_whole(data) if image.format == "PNG" else jpeg.is_whole(data, image)):
                raise InvalidArgument(DAMAGED)
            picture = _upright(image)
            if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema() != (255, 255):
                raise InvalidArgument("the image has transparent pixels; flatten it onto a background")
            return picture.convert(mode)
    except (InvalidArgument, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidArgument(f"the image is far too large; the limit is {MAX_PIXELS} pixels in all") from None
    except UnidentifiedImageError:
        raise InvalidArgument("the file is not a PNG or JPEG image") from None
    except Exception:
        # Pillow's decoders raise whatever a damaged file makes them: struct.error, KeyError, zlib.error, ...
        raise InvalidArgument(DAMAGED) from None


def _refuse_unfit(image: Image.Image, data: bytes) -> None:
    # Only the header has been read so far.
    if image.width * image.height > MAX_PIXELS:
        raise InvalidArgument(
            f"the image is {image.width} x {image.height} pixels; the limit is {MAX_PIXELS} pixels in all"
        )
    # Of 16-bit colours Pillow would keep the upper 8, and not say so.
    if image.mode.startswith(("I", "F")) or (image.format == "PNG" and data[PNG_DEPTH] > 8):
        raise InvalidArgument("the image has 16 bits or more per channel; save it with 8 bits per channel")
    if image.format != "PNG" and jpeg.scans(data) > MAX_SCANS:
        raise InvalidArgument(f"the image has more than {MAX_SCANS} scans; save it as a baseline JPEG or a PNG")
    if image.mode == "CMYK" and "adobe" not in image.info:
        raise InvalidArgument("the image is CMYK, and does not say whether as ink or as light; save it as RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF tag; by one that makes no sense, not turned: its pixels are as good as any."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)
