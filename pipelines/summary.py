"""Before a run: check params.yaml. After it: the table of champions, and what to do next."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.headline import headline
from redoubt.params import Params, ParamsError, load


def main() -> None:
    """Print one of the two."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.summary", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only read params.yaml and say what is wrong with it")
    only_check = parser.parse_args().check
    try:
        params = load()
    except ParamsError as error:
        sys.exit(f"error: {error}")
    if not only_check:
        _print(params)


def _print(params: Params) -> None:
    table = Table(
        "task",
        "champion",
        "clean, guarded",
        "threat",
        "undefended",
        "oblivious",
        "adaptive",
        "certified",
        title="Champions on the test split",
    )
    rows = [headline(params, name) for name in params.run]
    for name, row in zip(params.run, rows, strict=True):
        if row["champion"] is None:
            table.add_row(name, "none", "no model cleared the gates: see below")
            continue
        rates = [
            f"{100 * row[c]['share']:.1f} % ({100 * row[c]['low']:.0f}-{100 * row[c]['high']:.0f})" if row[c] else "-"
            for c in ("undefended", "oblivious", "adaptive", "certified")
        ]
        stamp = "" if row["trusted"] else " (not trusted: see the report)"
        table.add_row(name, row["champion"], row["clean"], row["threat"] + stamp, *rates)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    notes = "".join(f"{row['task']}: {note}\n" for row in rows for note in row["notes"])
    console.print(
        "Share of test rows that stand: the network alone; guarded, attacker unaware; guarded, attacker aware;\n"
        f"guarded, proven to stand whatever the attacker does.\n{notes}"
        f"Report:      {Path('reports/index.html').resolve()}\n"
        "Serve it:    make serve   then open http://127.0.0.1:3000/docs\n"
        "Compare:     make ui      which prints a link per task",
        highlight=False,
        markup=False,
    )


if __name__ == "__main__":
    main()
