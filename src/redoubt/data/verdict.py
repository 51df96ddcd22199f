"""What came out of validating raw data, and what to tell the owner of data that broke a rule."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redoubt.core.errors import RedoubtError

# The rule that a declared policy for missing values does away with.
EMPTY = "no empty cell"
POLICY = ", or say what an empty one counts as by missing: {{{}: median}}, or mode, category or drop"


class ValidationError(RedoubtError):
    """Data that broke a rule; the message lists each rule, the rows, their values and the fix."""


@dataclass(frozen=True)
class Verdict:
    """What came out.

    Attributes:
        passed: whether every rule holds.
        report: the same as plain sorted data: task, rows, and per rule what was observed and the first offending rows.
        page: Great Expectations' data docs as one HTML page that loads nothing and is the same on every run.
    """

    passed: bool
    report: dict[str, Any]
    page: str

    def require(self, details: Path) -> None:
        """Do nothing if every rule holds.

        Args:
            details: the page, which the message names.

        Raises:
            ValidationError: one readable block of all that failed.
        """
        if not self.passed:
            raise ValidationError(f"{self.explained()}\nall rules: {details}")

    def explained(self) -> str:
        """All that failed, as one block of lines."""
        return _explain(self.report)


def _explain(report: dict[str, Any]) -> str:
    failed = [rule for rule in report["rules"] if not rule["passed"]]
    lines = [f"{report['source']}: {len(failed)} of {len(report['rules'])} rules failed on {report['rows']} rows"]
    for rule in failed:
        where = f"column '{rule['column']}'" if rule["column"] else "table"
        lines.append(f"- {where}: {rule['rule']}: expected {rule['expected']}; found {rule['observed']}")
        lines += [f"  {_places(rule['rows'])}"] if rule["rows"] else []
        lines.append(f"  to fix:  {rule['fix']}" + (POLICY.format(rule["column"]) if rule["rule"] == EMPTY else ""))
    if any(rule["rows"] and rule["column"] and not rule["column"].startswith("(") for rule in failed):
        aside = f"redoubt quarantine {report['task']}, if its block says validate: {{quarantine: true}}"
        lines.append(f"rows that break a rule can be moved aside: {aside}")
    return "\n".join(lines)


def _places(rows: list[dict[str, Any]]) -> str:
    """Rows by their numbers, or columns by their names, with the value of each."""
    of_columns = isinstance(rows[0]["row"], str)
    shown = [
        f"{'column' if of_columns else 'row'} {row['row']}: {'empty' if row['value'] is None else row['value']}"
        for row in rows
    ]
    return ", ".join(shown) + ("" if of_columns else " (counted from 0)")
