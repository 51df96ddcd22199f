"""Fetch or simulate a task's data into data/raw/TASK, and say how each column is used."""

import sys
from itertools import chain
from pathlib import Path

from pipelines._stage import run
from redoubt.data.shared.survey import UNNAMED, Found, Survey
from redoubt.params.settings.stages import IngestSettings

# More columns than that are shown in part.
SHOWN = 40


def work(settings: IngestSettings) -> None:
    """Reads the task's source; writes the raw data set with its provenance and the survey of its columns."""
    from redoubt.data import sources
    from redoubt.data.shared import dataset

    raw = sources.fetch(settings, settings.seed)
    dataset.save(Path("data/raw", settings.name), raw)
    describe(settings.name, len(raw), raw.survey)


def describe(task: str, rows: int, survey: Survey) -> None:
    """Print the columns as a table, then a warning per column left out and per oddity of the data."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown, hidden = _some(survey.columns)
    reasons = any(column.why for column in shown)
    table = Table("column", "holds", "for example", "used as", title=f"{task}: {rows:,} rows")
    if reasons:
        table.add_column("because")
    for column in shown:
        cells = [column.name, column.holds, column.shows, column.used, *([column.why] if reasons else [])]
        table.add_row(*map(Text, cells), style="dim" if column.why else "")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    if hidden:
        console.print(f"and {hidden:,} more columns: data/raw/{task}/columns.json", highlight=False, markup=False)
    # `make repro` repeats warnings at its end: what is not used must not stand in a log alone.
    lost = [each for each in survey.columns if each.used == "left out" and each.why != UNNAMED]
    for warning in (*(f"column '{each.name}' is left out: {each.why}" for each in lost[:SHOWN]), *survey.notes):
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)


def _some(columns: tuple[Found, ...]) -> tuple[list[Found], int]:
    """The columns to show, those left out among them, and how many are not shown."""
    if len(columns) <= SHOWN:
        return list(columns), 0
    left_out = [column for column in columns if column.used == "left out"][: SHOWN // 2]
    used = [column for column in columns if column.used != "left out"][: SHOWN - len(left_out) - 1]
    targets = [column for column in columns if column.used == "target" and column not in used]
    shown = list(chain(used, left_out, targets))
    return shown, len(columns) - len(shown)


if __name__ == "__main__":
    run("ingest", IngestSettings, work)
