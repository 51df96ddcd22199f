"""A folder of images with a folder per class, brought to one size and mode; whatever is done to them is said."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from redoubt.data import limits
from redoubt.data.locate import SourceError
from redoubt.data.shared.survey import listed

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# The largest side of images that are taken; larger ones are made smaller.
SIDE = 96
GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L")
# The tag of EXIF by which cameras say how they were held, and its values for images on their side.
ORIENTATION, ACROSS = ExifTags.Base.Orientation, (5, 6, 7, 8)
# Files that an operating system puts into folders.
_UNSEEN = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class _Seen:
    """An image's header: its size, mode, whether it can be transparent, how many frames, whether EXIF turns it."""

    size: tuple[int, int]
    mode: str
    alpha: bool
    frames: int
    turned: bool


def gather(path: Path, scratch: Path) -> tuple[Path, tuple[str, ...]]:
    """Make one file of a folder's images: of the size that most of them have, at most 96; grey if all of them are.

    Args:
        path: the folder.
        scratch: where the file is written.

    Returns:
        An NPZ file of x and y, and sentences on what was done.

    Raises:
        SourceError: no folder per class, or an image that cannot be read.
    """
    classes = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    files = [(file, each.name) for each in classes for file in sorted(each.iterdir()) if _is_picture(file)]
    _check(path, classes, files)
    seen = [_look(file) for file, _ in files]
    grey = all(each.mode in GREY for each in seen)
    sizes = Counter(each.size for each in seen)
    width, height = sizes.most_common(1)[0][0]
    shrink = min(1.0, SIDE / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    pixels = len(files) * size[0] * size[1] * (1 if grey else 3)
    limits.refuse_above(pixels, limits.ARRAY_BYTES, f"'{path}' is too large", "take a part of its images", size=True)
    x = np.stack([_array(file, size, grey) for file, _ in files])
    made = scratch / "images.npz"
    np.savez(made, x=x, y=np.array([label for _, label in files]))
    said = [f"{len(files):,} images, {'grey' if grey else 'RGB'}, {size[0]} x {size[1]} pixels"]
    if len(sizes) > 1 or shrink < 1:
        other = sum(count for each, count in sizes.items() if each != size)
        said.append(f"{other:,} images of another size were resized (bilinear) to {size[0]} x {size[1]}")
    return made, (*said, *_changed(seen), *_left_out(path, classes, files))


def _check(path: Path, classes: list[Path], files: list[tuple[Path, str]]) -> None:
    """Refuse a folder that is no folder per class."""
    if not files:
        deeper = [each.name for each in classes if any(map(_is_picture, each.glob("*/*")))]
        if deeper:
            likely = next((name for name in deeper if "train" in name.casefold()), deeper[0])
            raise SourceError(
                f"'{path}' holds images two levels down, in folders of {listed(map(repr, deeper), 5)}: name the folder "
                f"whose folders are the classes, such as {path / likely}; if {deeper[0]!r} is a class, put its images "
                "right into it"
            )
        raise SourceError(
            f"'{path}' is a folder without a Parquet file, and no folder in it holds images ({', '.join(ENDINGS)}): "
            "expected one folder per class with its images in it"
        )
    if len({label for _, label in files}) < 2:
        raise SourceError(
            f"'{path}' holds images of one class, '{files[0][1]}'; expected a folder per class, at least two"
        )


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()


def _left_out(path: Path, classes: list[Path], files: list[tuple[Path, str]]) -> list[str]:
    used, said = {file for file, _ in files}, []
    every = [file for folder in (path, *classes) for file in sorted(folder.iterdir()) if file not in used]
    strange = [file for file in every if file not in classes and not _is_hidden(file)]
    if strange:
        names = listed((str(file.relative_to(path)) for file in strange), 3)
        said.append(f"{len(strange):,} files or folders that are no image of a class are left out: {names}")
    empty = [each.name for each in classes if each.name not in {label for _, label in files}]
    if empty:
        said.append(f"{len(empty):,} folders hold no image, and are no class: {listed(map(repr, empty), 3)}")
    return said


def _is_hidden(file: Path) -> bool:
    return file.name.startswith(".") or file.name.lower() in _UNSEEN


def _changed(seen: list[_Seen]) -> list[str]:
    """What is lost or chosen where images are brought to 8 bits of grey or RGB."""
    kinds = {
        "have 16 bits per pixel: the upper 8 are kept": sum(each.mode.startswith("I;16") for each in seen),
        "may be transparent: they are laid on white": sum(each.alpha for each in seen),
        "are animated: the first frame of each is taken": sum(each.frames > 1 for each in seen),
        "are turned upright, as their EXIF data say": sum(each.turned for each in seen),
        "are CMYK: they were turned into RGB": sum(each.mode == "CMYK" for each in seen),
    }
    return [f"{count:,} images {what}" for what, count in kinds.items() if count]


def _open(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except Image.DecompressionBombError as error:
        raise SourceError(
            f"'{file}' is too large an image: {str(error).rstrip('.')}; make it smaller, or remove it"
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise SourceError(f"'{file}' is not an image that can be read: {error}; remove it") from None


def _look(file: Path) -> _Seen:
    with _open(file) as image:
        if image.mode in ("F", "I"):
            raise SourceError(
                f"'{file}' holds {'floating-point' if image.mode == 'F' else '32-bit'} pixels, of which nobody knows "
                "which is white; save it with 8 or 16 bits per pixel"
            )
        alpha = "A" in image.mode or "a" in image.mode or "transparency" in image.info
        turned = _orientation(image)
        size = image.size[::-1] if turned in ACROSS else image.size
        return _Seen(size, image.mode, alpha, getattr(image, "n_frames", 1), turned not in (0, 1))


def _orientation(image: Image.Image) -> int:
    """How EXIF says that an image is turned; of a broken one, which is refused when it is unpacked, 1: not at all."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except (OSError, SyntaxError, TypeError, ValueError):
        return 1


def _array(file: Path, size: tuple[int, int], grey: bool) -> Any:
    with _open(file) as image:
        try:
            plain = _eight_bits(ImageOps.exif_transpose(image)).convert("L" if grey else "RGB")
        except (OSError, SyntaxError) as error:
            raise SourceError(f"'{file}' is a broken image: {error}; remove it") from None
        return np.asarray(plain if plain.size == size else plain.resize(size, Image.Resampling.BILINEAR), np.uint8)


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image without transparency, whose white is 255: Pillow itself would cut 16 bits off at 255."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image
