"""The subcommand `predict`: the guarded model's answers for a file of rows or images, without a server."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.base.types import Floats, Positive, is_name
from redoubt.bundle.certificates import certified_interval
from redoubt.bundle.dates import as_asked
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.cli.init.source import look
from redoubt.cli.words import AskedError
from redoubt.core.store import whole_file
from redoubt.data.arrays import read_npz
from redoubt.data.dated import expand
from redoubt.data.shared.survey import listed
from redoubt.data.shared.words import words
from redoubt.data.tables import numbers

if TYPE_CHECKING:
    from redoubt.cli import Parser

EPILOG = """\
FILE is read as `redoubt init` reads it: CSV, Excel, Parquet, ...; or an NPZ file with images x. Columns that the model
does not take are kept in the answer. An empty cell, or a category that the model does not know, counts as the task
declared (`missing`, `levels`). A row that cannot be answered gets the reason in the column `error`.

The answer has these columns beside the file's own:
  label, probability   the most probable class and its probability; of a regression: value
  adversarial_score    how far squeezing the input moves the prediction
  flagged              the score is above the calibrated threshold, or a number far outside the training range
  certified_eps        with --certify: the card's L-inf eps if no perturbation within it changes the label, else 0
                       (a regression has certified_low and certified_high instead)

examples:
  redoubt predict churn new_customers.csv --out answers.csv
  redoubt predict zoo/mnist-certified digits.npz --certify

exit status: 0 every row has an answer; 1 some have none; 2 could not start
"""
OWN = (
    "label",
    "value",
    "probability",
    "adversarial_score",
    "flagged",
    "certified_eps",
    "certified_low",
    "certified_high",
    "error",
)


PIXELS = "expected pixels as uint8, or from 0 to 1"
NO_ANSWER = "the model has no finite answer: its numbers lie too far outside the range the model was trained on"


class Card(BaseModel):
    """What is read of the card: the L-inf eps of the threat."""

    model_config = ConfigDict(frozen=True)

    eps: Positive


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "predict",
        help="answer a file of rows or images by a champion or a bundle, without a server",
        description="Answer every row of a file by the guarded model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="NAME", help="a task whose champion answers, or a bundle's folder")
    parser.add_argument("file", type=Path, metavar="FILE", help="the rows or images")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the answers there (default: print them)")
    parser.add_argument("--certify", action="store_true", help="certify each answer at the card's eps")
    parser.add_argument("--seed", type=int, default=0, help="of the guard's random draws (default: 0)")
    parser.add_argument("--json", action="store_true", help="a JSON object per row instead of CSV")


def run(args: argparse.Namespace) -> int:
    """Answer the rows; 1 if some have no answer.

    Raises:
        AskedError: no such model, an image model asked with a table, or columns that are missing.
        BundleError: a bundle that cannot be used.
        SourceError: a file that cannot be read.
    """
    folder = bundle_folder(args.model)
    model = GuardedModel.load(folder)
    eps = read_typed(folder / "card.json", Card).eps if args.certify else None
    if args.certify and not model.proves:
        raise AskedError(f"--certify: the network of {folder} has no interval bounds")
    table, x, errors = (
        _images(args.file, model.schema) if model.schema.kind == "image" else read_rows(args.file, model.schema)
    )
    good = np.array([not error for error in errors], dtype=bool)
    found, finite = answers(model, x[good], eps, args.seed) if good.any() else (pd.DataFrame(), good[good])
    found.index = pd.Index(np.flatnonzero(good))
    for row in found.index[~finite]:
        errors[row], good[row] = NO_ANSWER, False
    found = found[finite]
    made = table.join(found.reindex(range(len(table)))).assign(error=errors)
    made = made if any(errors) else made.drop(columns="error")
    if args.json:
        text = made.to_json(orient="records", indent=1, force_ascii=False) + "\n"
    else:
        text = made.to_csv(index=False, lineterminator="\n")
    if args.out is None:
        print(text, end="")
    else:
        with whole_file(args.out) as path:
            path.write_text(text, encoding="utf-8")
        flags = int(found["flagged"].sum()) if len(found) else 0
        print(f"{int(good.sum()):,} of {len(table):,} rows answered, {flags:,} flagged: {args.out}")
    return 0 if good.all() else 1


def bundle_folder(model: str) -> Path:
    """The folder of a task's champion, or the folder itself."""
    if is_name(model) and not Path(model).is_dir():
        champion = Path("models", model, "champion")
        if not champion.is_dir():
            made = sorted(path.parent.name for path in Path("models").glob("*/champion"))
            raise AskedError(f"no model of a task '{model}' is here; tasks with one: {listed(made) or 'none'}")
        return champion
    return Path(model)


def _images(file: Path, schema: Schema) -> tuple[pd.DataFrame, Floats, list[str]]:
    """Images as the network takes them; uint8 as shares of 255."""
    x = read_npz(file, ("x",))["x"]
    x = x[..., None] if x.ndim == 3 and len(schema.shape) == 3 else x
    if x.shape[1:] != schema.shape:
        raise AskedError(f"'{file}': x has shape {x.shape}; the model takes images of shape {list(schema.shape)}")
    pixels: Floats = x.astype(np.float32) / np.float32(255 if x.dtype == np.uint8 else 1)
    errors = ["" if np.isfinite(each).all() and 0 <= each.min() <= each.max() <= 1 else PIXELS for each in pixels]
    return pd.DataFrame({"image": range(len(x))}), pixels, errors


def read_rows(file: Path, schema: Schema) -> tuple[pd.DataFrame, Floats, list[str]]:
    """The file's rows, what the network takes of each, and why it takes it not."""
    with tempfile.TemporaryDirectory() as scratch:
        found = look(file, None, Path(scratch))
    # Not among the answers, which may be piped on.
    for sentence in found.said:
        print(f"{file}: {sentence}", file=sys.stderr)
    table = found.table
    if table is None:
        raise AskedError(f"'{file}' holds images; the model takes rows with {listed(schema.input_names)}")
    table = table.reset_index(drop=True)
    own, (table, no_dates) = table, expand(table, schema.dates, str(file))
    names = [column.name for column in schema.columns]
    missing = [name for name in names if name not in table]
    if missing:
        lacking, asked = (as_asked(each, schema.dates, own.columns) for each in (missing, names))
        raise AskedError(f"'{file}' has no column {listed(map(repr, lacking))}; the model takes {listed(asked, 30)}")
    columns = {column.name: _cells(table[column.name], column.kind, file) for column in schema.columns}
    x, errors = np.zeros((len(table), *schema.shape), np.float32), []
    for row in range(len(table)):
        empty = [column.name for column in schema.columns if not column.fills and columns[column.name][row] is None]
        if row in no_dates:
            errors.append(no_dates[row])
            continue
        if empty:
            errors.append(f"column {listed(map(repr, as_asked(empty, schema.dates, own.columns)))} is empty")
            continue
        try:
            x[row] = schema.encode([{name: cells[row] for name, cells in columns.items()}])[0]
            errors.append("")
        except InputError as error:
            errors.append(str(error).removeprefix("input 0: "))
    return own.drop(columns=[name for name in OWN if name in own]), x, errors


def _cells(cells: "pd.Series[Any]", kind: str, file: Path) -> list[Any]:
    """A column as numbers or words; an empty cell is None."""
    typed: pd.Series[Any] = words(cells) if kind == "category" else numbers(cells, str(cells.name), str(file))
    return [None if pd.isna(value) else value for value in typed]


def answers(model: GuardedModel, x: Floats, eps: float | None, seed: int) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """The answers, and which of them are finite: far outside its range a network overflows."""
    with np.errstate(all="ignore"):
        said = model.predict(x, np.random.default_rng(seed))
    finite = np.isfinite(said.vote).all(axis=1) & np.isfinite(said.score)
    found: dict[str, NDArray[Any]] = {}
    label = said.vote.argmax(axis=1)
    if model.schema.is_classification:
        found["label"] = np.array(model.schema.labels)[label]
        found["probability"] = said.vote.max(axis=1)
    else:
        found["value"] = said.vote[:, 0]
    found |= {"adversarial_score": said.score, "flagged": said.flagged}
    # Of numbers that training never saw nothing is certified.
    inside = np.asarray(~(model.outside(x) > 0).any(axis=1))
    if eps is not None and model.schema.is_classification:
        leads = model.prove(x, eps, np.random.default_rng(seed))
        kept = leads[np.arange(len(x)), :, label].min(axis=1) > 0
        found["certified_eps"] = np.where(kept & inside, np.float32(eps), np.float32(0))
    elif eps is not None:
        ends = np.where(inside[:, None], certified_interval(model, x, eps, seed), np.nan)
        found |= {"certified_low": ends[:, 0], "certified_high": ends[:, 1]}
    return pd.DataFrame(found), finite
