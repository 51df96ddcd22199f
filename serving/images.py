"""An uploaded PNG or JPEG as one network input; nothing is decoded before its size is known to be sane."""

import io

import numpy as np
from bentoml.exceptions import InvalidArgument
from PIL import Image, ImageOps, UnidentifiedImageError

from redoubt.tasks import Floats, Schema

MAX_PIXELS = 2048 * 2048
MODES = {1: "L", 3: "RGB"}


def decode(data: bytes, schema: Schema) -> Floats:
    """Decode an upload.

    The picture is turned upright by its EXIF tag, made grey or RGB by the task's channels, and, if its size is not
    the task's, resized by antialiased bilinear interpolation; its proportions must be the task's. Pixels are
    value / 255, never inverted.

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
        raise InvalidArgument(
            f"task '{schema.task}' takes images of {channels} channels; POST them to /predict as lists"
        )
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
            _refuse_unfit(image)
            ImageOps.exif_transpose(image, in_place=True)
            if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
                raise InvalidArgument("the image has transparent pixels; flatten it onto a background")
            return image.convert(mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidArgument(f"the image is far too large; the limit is {MAX_PIXELS} pixels in all") from None
    except UnidentifiedImageError:
        raise InvalidArgument("the file is not a PNG or JPEG image") from None
    except (OSError, SyntaxError, ValueError, EOFError):
        raise InvalidArgument("the image file is damaged or cut short") from None


def _refuse_unfit(image: Image.Image) -> None:
    # Only the header has been read so far.
    if image.width * image.height > MAX_PIXELS:
        raise InvalidArgument(
            f"the image is {image.width} x {image.height} pixels; the limit is {MAX_PIXELS} pixels in all"
        )
    if image.mode.startswith(("I", "F")):
        raise InvalidArgument(f"the image has mode {image.mode}; save it with 8 bits per channel")
