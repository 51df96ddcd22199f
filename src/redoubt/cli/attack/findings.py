"""What an attack came to, written as a record, a figure and arrays, and shown as a table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from redoubt.cli.attack.job import Job
from redoubt.core.store import whole_file, write_arrays, write_json
from redoubt.data.leftovers import clear_beside
from redoubt.evaluation.metrics import Rate


@dataclass(frozen=True, eq=False)
class Findings:
    """What came of it.

    Attributes:
        found: figures for the record, by name.
        picture: None if there is nothing to show.
        arrays: for whoever wants to look closer.
        stopped: why it broke off, if it did.
    """

    found: Mapping[str, Any]
    picture: Figure | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    stopped: str | None = None


def write(folder: Path, job: Job, findings: Findings) -> list[Path]:
    """Write `record.json`, `picture.png` and `arrays.npz`, each whole or not at all; returns what was written."""
    record, picture, arrays = (folder / name for name in ("record.json", "picture.png", "arrays.npz"))
    for path in (record, picture, arrays):
        clear_beside(path)
    for path in (picture, arrays):
        path.unlink(missing_ok=True)
    write_json(record, _record(job, findings))
    written = [record]
    if findings.picture is not None:
        with whole_file(picture) as temporary:
            findings.picture.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
        written.append(picture)
    if findings.arrays:
        write_arrays(arrays, findings.arrays)
        written.append(arrays)
    return written


def _record(job: Job, findings: Findings) -> dict[str, Any]:
    """No time, no machine: the same run gives the same bytes."""
    target = job.target
    given = {
        "eps": None if "eps" in job.entry.ignores else job.eps,
        "raw_units": job.raw_units,
        "immovable": None if job.immovable is None else job.immovable.model_dump(),
        "norm": job.entry.norm if "norm" in job.entry.ignores else job.norm,
        "targeted": None if job.wanted is None else target.labels[job.wanted],
        "criterion": repr(job.criterion),
        "seed": job.seed,
        "knows_guard": job.knows_guard,
    }
    return {
        "attack": {"name": job.entry.name, "paper": job.entry.paper, "knows": job.entry.knows, **job.options},
        "target": {"name": target.said, "kind": target.kind, "task": target.task, "digest": target.digest},
        "notes": list(target.notes),
        "data": {"source": job.rows.source, "digest": job.rows.digest, "examples": len(job.batch)},
        "given": given,
        "answers": None if target.oracle is None else target.oracle.queries,
        "complete": findings.stopped is None,
        "stopped": findings.stopped,
        "found": _plain(findings.found),
    }


def show(job: Job, findings: Findings, seconds: float, written: list[Path]) -> None:
    """Print the figures first, then of what they are, and where the files are."""
    size = "" if "eps" in job.entry.ignores else f", {job.norm} eps {job.eps:g}"
    said = None if "data" in job.entry.ignores else f"{len(job.batch)}, {job.rows.source}"
    table = Table(title=f"{job.entry.name} on {job.target.said}{size}", show_header=False, title_justify="left")
    found = {name: value for name, value in findings.found.items() if said is None or name != "examples"}
    # What was measured, then what measured it.
    how = {name: found.pop(name) for name in ("attack",) if name in found}
    for name, value in _lines(found | how):
        table.add_row(name, value)
    if said is not None:
        table.add_row("examples", said)
    if job.raw_units is not None:
        table.add_row("eps", job.raw_units)
    if job.immovable is not None:
        table.add_row("immovable", job.immovable.says(job.norm, job.eps))
    table.add_row("seconds", f"{seconds:.1f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for note in job.target.notes:
        console.print(note, markup=False)
    for path in written:
        console.print(path)


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: _plain(value) if isinstance(value, Mapping) else value for name, value in found.items()}
    return {name: value.model_dump() if isinstance(value, Rate) else value for name, value in plain.items()}


def _lines(found: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """A line per figure, whatever it is nested in."""
    for name, value in found.items():
        said = before + name.replace("_", " ")
        if isinstance(value, Mapping):
            yield from _lines(value, f"{said}, ")
        elif isinstance(value, Rate):
            share, low, high = (f"{100 * part:.1f}" for part in (value.share, value.low, value.high))
            yield said, f"{share} % of {value.n} (95 %: {low} to {high})"
        else:
            yield said, f"{value:.4g}" if isinstance(value, float) else str(value)
