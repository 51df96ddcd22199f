"""The user's file, brought to where the pipeline reads it: as it is if the pipeline can, else as Parquet or NPZ."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from redoubt.core.store import whole_file
from redoubt.data import limits
from redoubt.data.dialect import detect
from redoubt.data.locate import SourceError
from redoubt.data.readers import PLAIN, read_csv, read_parquet
from redoubt.data.sources import TEXT, ending
from redoubt.params.settings.read import ReadParams

OWN = Path("data/own")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# The largest side of images that are taken; larger ones are made smaller.
SIDE = 96
READABLE = (*TEXT, ".zip", ".parquet", ".feather", ".jsonl", ".ndjson", ".xlsx", ".npz")


@dataclass(frozen=True)
class Found:
    """What lies at the user's path.

    Attributes:
        file: what the pipeline reads: the user's own, or one made of it in the scratch folder.
        table: its content, as the pipeline will read it; None of images.
        read: how a table of text is written.
        said: sentences on how it was read.
    """

    file: Path
    table: pd.DataFrame | None = None
    read: ReadParams = PLAIN
    said: tuple[str, ...] = ()


def look(path: Path, read: ReadParams | None, scratch: Path) -> Found:
    """Read a file or folder of any kind that is known.

    Args:
        path: the user's.
        read: how a table of text is written; None finds it out.
        scratch: an empty folder, for what has to be unpacked or written anew.

    Raises:
        SourceError: no such file, or of no kind that is read.
    """
    if not path.exists():
        raise SourceError(f"'{path}' was not found")
    if path.is_dir():
        return _folder(path, scratch)
    kind = ending(path)
    if kind in TEXT:
        return _text(path, read)
    if kind == ".npz":
        return Found(path)
    if kind == ".parquet":
        table, notes = read_parquet(path, ())
        return Found(path, table, said=notes)
    if kind == ".zip":
        return look(_unpacked(path, scratch), read, scratch)
    if kind in _OTHERS:
        limits.check_file(path)
        return _OTHERS[kind](path, scratch)
    raise SourceError(
        f"'{path}' ends in '{kind}'; expected {', '.join(READABLE)}, a folder of Parquet files, or a folder of images "
        "with a folder per class"
    )


def place(found: Found, name: str) -> Path:
    """Where the pipeline will read it, relative to the project: where it lies if that is in data/own, else there.

    Args:
        found: by `look`.
        name: of the task.

    Raises:
        SourceError: another file lies there.
    """
    here = Path.cwd().resolve()
    if found.file.resolve().is_relative_to(here / OWN):
        return found.file.resolve().relative_to(here)
    target = OWN / f"{name}{ending(found.file)}"
    if target.exists() and target.read_bytes() != found.file.read_bytes():
        raise SourceError(f"'{target}' exists and holds something else; remove it, or choose another name for the task")
    return target


def bring(found: Found, name: str) -> None:
    """Copy it to where the pipeline will read it, unless it lies there."""
    target = place(found, name)
    if target.resolve() != found.file.resolve():
        OWN.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as made:
            shutil.copyfile(found.file, made)


def _text(path: Path, read: ReadParams | None) -> Found:
    if not path.stat().st_size:
        limits.check_file(path)
    dialect = detect(path) if read is None else None
    how = dialect.read if dialect else read or ReadParams()
    table, notes = read_csv(path, how)
    return Found(path, table, how, said=(*(dialect.said if dialect else ()), *notes))


def _folder(path: Path, scratch: Path) -> Found:
    parts = sorted(path.rglob("*.parquet"))
    if parts:
        return _typed(lambda: pd.read_parquet(path), f"a folder of {len(parts):,} Parquet files", path, scratch)
    classes = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    files = [(file, each.name) for each in classes for file in sorted(each.iterdir()) if _is_picture(file)]
    if not files:
        raise SourceError(
            f"'{path}' is a folder without a Parquet file, and no folder in it holds images ({', '.join(PICTURES)}): "
            "expected one folder per class with its images in it"
        )
    if len(classes) < 2:
        raise SourceError(
            f"'{path}' holds one folder, '{classes[0].name}'; expected one folder per class, at least two"
        )
    return _pictures(path, files, scratch)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURES and not file.name.startswith(".")


def _pictures(path: Path, files: list[tuple[Path, str]], scratch: Path) -> Found:
    """Images of one size and mode: the size most of them have, at most 96; grey if all of them are."""
    sizes: dict[tuple[int, int], int] = {}
    grey = True
    for file, _ in files:
        with _open(file) as image:
            sizes[image.size] = sizes.get(image.size, 0) + 1
            grey &= image.mode in ("1", "L", "I;16")
    width, height = max(sizes, key=lambda size: sizes[size])
    shrink = min(1.0, SIDE / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    pixels = len(files) * size[0] * size[1] * (1 if grey else 3)
    limits.refuse_above(pixels, limits.ARRAY_BYTES, f"'{path}' is too large", "take a part of its images", size=True)
    x = np.stack([_array(file, size, grey) for file, _ in files])
    said = [f"{len(files):,} images, {'grey' if grey else 'RGB'}, {size[0]} x {size[1]} pixels"]
    if len(sizes) > 1 or shrink < 1:
        other = sum(count for each, count in sizes.items() if each != size)
        said.append(f"{other:,} images of another size were resized (bilinear) to {size[0]} x {size[1]}")
    made = scratch / "images.npz"
    np.savez(made, x=x, y=np.array([label for _, label in files]))
    return Found(made, said=tuple(said))


def _open(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except (UnidentifiedImageError, OSError) as error:
        raise SourceError(f"'{file}' is not an image that can be read: {error}; remove it") from None


def _array(file: Path, size: tuple[int, int], grey: bool) -> Any:
    with _open(file) as image:
        try:
            plain = image.convert("L" if grey else "RGB")
        except (OSError, SyntaxError) as error:
            raise SourceError(f"'{file}' is a broken image: {error}; remove it") from None
        return np.asarray(plain if plain.size == size else plain.resize(size, Image.Resampling.BILINEAR), np.uint8)


def _feather(path: Path, scratch: Path) -> Found:
    return _typed(lambda: pd.read_feather(path), "a Feather file", path, scratch)


def _json_lines(path: Path, scratch: Path) -> Found:
    def records() -> pd.DataFrame:
        with path.open(encoding="utf-8-sig") as lines:
            return pd.json_normalize([json.loads(line) for line in lines if line.strip()])

    return _typed(records, "JSON lines", path, scratch)


def _excel(path: Path, scratch: Path) -> Found:
    return _typed(lambda: pd.read_excel(path), "the first sheet of an Excel file", path, scratch)


def _unpacked(path: Path, scratch: Path) -> Path:
    """The one table in an archive."""
    kinds = [kind for kind in READABLE if kind != ".zip"]
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if ending(Path(each.filename)) in kinds]
            inside = [each for each in inside if not each.filename.startswith("__MACOSX")]
            if len(inside) != 1:
                names = ", ".join(each.filename for each in inside[:5]) or "none"
                raise SourceError(
                    f"'{path}' holds {len(inside)} tables ({names}); expected one: unpack the one you mean"
                )
            limits.refuse_above(
                inside[0].file_size, limits.FILE_BYTES, f"'{path}' is too large", "unpack it", size=True
            )
            # Not under its own name, which may lead anywhere.
            target = scratch / f"unpacked{ending(Path(inside[0].filename))}"
            target.write_bytes(archive.read(inside[0]))
            return target
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise SourceError(f"'{path}' is not a ZIP archive that can be unpacked: {error}") from None


def _typed(read: Callable[[], pd.DataFrame], what: str, path: Path, scratch: Path) -> Found:
    """A table of another kind, written anew as Parquet."""
    import pyarrow as pa

    try:
        table = read()
    except ImportError as error:
        raise SourceError(f"'{path}' cannot be read as {what}: {error}") from None
    except (ValueError, KeyError, OSError, TypeError, pa.ArrowException, zipfile.BadZipFile) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise SourceError(f"'{path}' cannot be read as {what}: {said[0]}") from None
    table.columns = pd.Index([str(name) for name in table.columns])
    made = scratch / "table.parquet"
    try:
        table.to_parquet(made, index=False)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise SourceError(f"'{path}': a column cannot be kept as Parquet: {str(error).splitlines()[0]}") from None
    return Found(made, read_parquet(made, ())[0], said=(f"read as {what}; kept as Parquet",))


_OTHERS = {".feather": _feather, ".jsonl": _json_lines, ".ndjson": _json_lines, ".xlsx": _excel}
