"""The user's file, brought to where the pipeline reads it: as it is if the pipeline can, else as Parquet or NPZ."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from redoubt.cli.init import pictures
from redoubt.core.store import whole_file
from redoubt.data import limits
from redoubt.data.dialect import amounts_of, detect
from redoubt.data.locate import TEXT, SourceError, ending
from redoubt.data.plain import plain
from redoubt.data.readers import PLAIN, name_columns, read_csv, read_parquet, refuse_title
from redoubt.data.shared.survey import listed
from redoubt.params.settings.read import ReadParams

OWN = Path("data/own")
# Rows of a sheet among which the names of the columns are looked for.
TOP = 50
READABLE = (*TEXT, ".zip", ".parquet", ".feather", ".json", ".jsonl", ".ndjson", ".xlsx", ".npz")


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
    made, said = pictures.gather(path, scratch)
    return Found(made, said=said)


def _feather(path: Path, scratch: Path) -> Found:
    return _typed(lambda: pd.read_feather(path), "a Feather file", path, scratch)


def _json(path: Path, scratch: Path) -> Found:
    with path.open(encoding="utf-8-sig") as stream:
        whole = stream.read(1024).lstrip().startswith("[")
    wrapped = None if whole else _wrapped(path)
    if wrapped is not None:
        return _typed(lambda: pd.json_normalize(wrapped[0]), wrapped[1], path, scratch)
    how = "a JSON array" if whole else "JSON lines"
    return _typed(lambda: pd.json_normalize(_records(path, whole)), how, path, scratch)


def _wrapped(path: Path) -> tuple[list[dict[str, Any]], str] | None:
    """The records of one JSON object, and how it holds them; None of lines, or of an object that holds none."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            found = json.load(stream)
    except ValueError:
        return None
    held = found if isinstance(found, dict) else {}
    lists = [name for name, each in held.items() if isinstance(each, list) and each and isinstance(each[0], dict)]
    columns = list(held.values())
    if len(lists) == 1:
        return held[lists[0]], f"the records in {lists[0]!r} of a JSON object"
    if columns and all(isinstance(each, dict) and each.keys() == columns[0].keys() for each in columns):
        columns = [list(each.values()) for each in columns]
    if columns and all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        rows = zip(*columns, strict=True)
        return [dict(zip(held, row, strict=True)) for row in rows], "a JSON object of columns"
    return None


def _records(path: Path, whole: bool) -> list[dict[str, Any]]:
    """The objects of an array, or of lines.

    Raises:
        ValueError: not JSON, or no objects.
    """
    with path.open(encoding="utf-8-sig") as stream:
        if whole:
            found = json.load(stream)
        else:
            found = []
            for number, line in enumerate(stream, start=1):
                try:
                    found += [json.loads(line)] if line.strip() else []
                except json.JSONDecodeError as error:
                    raise ValueError(f"line {number}: {error.msg}") from None
    other = next((place for place, each in enumerate(found) if not isinstance(each, dict)), None)
    if other is not None:
        raise ValueError(f"record {other} is {str(found[other])[:40]!r}; expected an object, a value by column")
    return found


def _excel(path: Path, scratch: Path) -> Found:
    try:
        with pd.ExcelFile(path) as book:
            first, *others = book.sheet_names
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"'{path}' cannot be read as an Excel file: {error}") from None
    above = _above(path)
    read = lambda: _named(pd.read_excel(path, skiprows=above), path)  # noqa: E731
    found = _typed(read, "the first sheet of an Excel file", path, scratch)
    if above:
        which = "first row of the sheet is" if above == 1 else f"first {above:,} rows of the sheet are"
        found = replace(found, said=(*found.said, f"the {which} above the names of the columns, and left out"))
    if not others:
        return found
    names = listed((repr(str(each)) for each in others), 5)
    said = f"only the first sheet, {str(first)!r}, is read; save another as a file of its own: {names}"
    return replace(found, said=(*found.said, said))


def _above(path: Path) -> int:
    """How many rows of a sheet, such as a title, are above the names of its columns: they fill hardly a cell."""
    try:
        filled = pd.read_excel(path, header=None, nrows=TOP).notna().sum(axis=1).to_numpy()
    except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile):
        return 0  # who reads it all says why it cannot be read
    return int((filled * 2 > filled.max()).argmax()) if len(filled) else 0


def _named(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    refuse_title([str(name) for name in table.columns], path)
    return table


def _unpacked(path: Path, scratch: Path) -> Path:
    """The one table in an archive."""
    kinds = [kind for kind in READABLE if kind != ".zip"]
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if ending(Path(each.filename)) in kinds]
            inside = [each for each in inside if not each.filename.startswith("__MACOSX")]
            if len(inside) != 1:
                names = ", ".join(each.filename for each in inside[:5]) or "none"
                images = any(Path(name).suffix.lower() in pictures.ENDINGS for name in archive.namelist())
                fix = "unpack it, and name the folder with its images" if images else "unpack the one you mean"
                raise SourceError(f"'{path}' holds {len(inside)} tables ({names}); expected one: {fix}")
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
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(f"'{path}' cannot be read as {what}: {error}") from None
    except (ValueError, KeyError, OSError, TypeError, pa.ArrowException, zipfile.BadZipFile) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise SourceError(f"'{path}' cannot be read as {what}: {said[0]}") from None
    renamed = name_columns(table, path)
    empty = int(table.isna().all(axis=1).sum())
    table = table.dropna(how="all") if empty else table
    mixed = _words_of_mixed(table)
    amounts = _amounts(table)
    made = scratch / "table.parquet"
    try:
        table.to_parquet(made, index=False)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise SourceError(f"'{path}': a column cannot be kept as Parquet: {str(error).splitlines()[0]}") from None
    left = [*renamed, *([f"{empty:,} rows without a cell are left out"] if empty else [])]
    left += [f"columns with words among other cells are taken as words: {listed(map(repr, mixed), 5)}"] if mixed else []
    return Found(made, read_parquet(made, ())[0], said=(f"read as {what}; kept as Parquet", *left, *amounts))


def _amounts(table: pd.DataFrame) -> tuple[str, ...]:
    """Take columns of amounts, in place, as their numbers; what is said of it."""
    words = [name for name in table if pd.api.types.is_string_dtype(table[name]) and table[name].dtype != object]
    words += [name for name in table if table[name].dtype == object and _is_words(table[name])]
    text = table[words].astype("str").fillna("")
    how, said = amounts_of(text)
    for name, cells in plain(text, how).items() if said else ():
        if not cells.equals(text[name]):
            table[name] = pd.to_numeric(cells.replace("", None), errors="coerce")
    return said


def _is_words(cells: "pd.Series[Any]") -> bool:
    return all(isinstance(cell, str) for cell in cells.dropna())


def _words_of_mixed(table: pd.DataFrame) -> list[str]:
    """Columns of words and numbers in turn, which Parquet cannot hold, as words, in place; their names."""
    mixed = []
    for name in table.columns:
        kinds = {type(cell) for cell in table[name].dropna()} if table[name].dtype == object else set()
        if str in kinds and kinds <= {str, int, float, bool}:
            table[name] = table[name].map(str, na_action="ignore").astype("str")
            mixed += [str(name)] if len(kinds) > 1 else []
    return mixed


_OTHERS = {".feather": _feather, ".json": _json, ".jsonl": _json, ".ndjson": _json, ".xlsx": _excel}
