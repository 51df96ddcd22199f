"""What raw data must satisfy: Great Expectations suites built from a task's schema, their verdict and their page.

This module, rules.py, large.py and own_rules.py alone import great_expectations.
"""

import hashlib
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView
from great_expectations.validator.validation_statistics import calc_validation_statistics
from numpy.typing import NDArray

from redoubt.core.store import plain
from redoubt.data import large
from redoubt.data.docs_figures import broken, figures
from redoubt.data.docs_page import page
from redoubt.data.own_rules import own_rules
from redoubt.data.prepare.precision import Precision, measure
from redoubt.data.rules import IN_32_BITS, Precisions, Rule, content_rules, size_rules
from redoubt.data.shared.dataset import Raw
from redoubt.data.shared.dataset import complete as complete_rows
from redoubt.data.splits import needed
from redoubt.data.verdict import Verdict
from redoubt.params.settings.data_params import JudgedParams
from redoubt.params.settings.own_rules import OwnRule

_SHOWN = 10
# So many rules at a time: Great Expectations compares each with all others of its suite.
_SUITE = 60


def validate(raw: Raw, task: JudgedParams, own: Sequence[OwnRule] = ()) -> Verdict:
    """Check raw data against the suite of its task.

    Args:
        raw: table or images, as `dataset.read` gives them.
        task: its `validate` section and its folds set the limits.
        own: rules of the user's.

    Raises:
        OwnRuleError: one of these that cannot be checked.
    """
    suite, found = _checked(raw, task, own, "SUMMARY")
    result = suite.result()
    report = {"task": task.name, "source": raw.source, "rows": len(raw), "passed": bool(result.success), "rules": found}
    if task.missing and raw.table is not None:
        shares = raw.table.isna().mean().round(6)
        report["missing"] = {str(name): float(share) for name, share in shares.items() if share}
    rules = (len(found), bool(result.success))
    docs = page(task.name, (raw.source, raw.origin), (broken(report), figures(raw)), rules, _sections(result))
    return Verdict(bool(result.success), report, docs)


def broken_rows(raw: Raw, task: JudgedParams, own: Sequence[OwnRule]) -> dict[int, list[str]]:
    """Rows of a table that break a rule by their own cells, and which; not those of a rare class, or repeated ones.

    Raises:
        OwnRuleError: a rule of the user's that cannot be checked.
    """
    found: defaultdict[int, list[str]] = defaultdict(list)
    for rule, outcome in _checked(raw, task, own, "COMPLETE")[0].failed():
        column = outcome.expectation_config.kwargs.get("column")
        # Of figures that were derived the names stand in parentheses.
        if raw.table is not None and (column is None or column in raw.table):
            about = f"column '{column}': {rule.name}" if column else rule.name
            for row in _rows(outcome):
                found[row].append(f"{about}: expected {rule.expected}")
    return dict(found)


def _checked(raw: Raw, task: JudgedParams, own: Sequence[OwnRule], form: str) -> tuple["_Suite", list[dict[str, Any]]]:
    precisions, columns = _precisions(raw), _columns(raw)
    suite, found = _Suite(task.name, form), []
    if raw.table is not None and large.is_large(raw.table):
        found = suite.check("columns", large.figures(raw.table, raw.schema, task, precisions), large.column_rules(task))
        broken = {name for _, outcome in suite.failed() for name in _rows(outcome)}
        columns = [name for name in columns if name in broken]
    least = needed(len(raw), task.split, raw.test_from)
    rules = [*size_rules(raw.schema, task.checks, least), *content_rules(raw, task, columns, precisions)]
    frame = _derive(raw, [name for name in columns if _is_blurred(precisions.get(name))])
    found += suite.check("raw", frame, rules)
    if own:
        found += suite.check("own", frame if raw.table is None else raw.table, own_rules(task.name, own))
    return suite, found


def _rows(outcome: ExpectationValidationResult) -> list[Any]:
    """Rows that break a rule, or columns of a large table: all of them, or the first twenty, by the result's form."""
    found = outcome.result
    return found.get("unexpected_index_list") or found.get("partial_unexpected_index_list") or []


def _columns(raw: Raw) -> list[str]:
    return [] if raw.table is None else [*(column.name for column in raw.schema.columns), raw.schema.target]


def _precisions(raw: Raw) -> Precisions:
    if raw.table is None:
        return {}
    names = [column.name for column in raw.schema.columns if column.kind != "category"]
    names += [] if raw.schema.is_classification else [raw.schema.target]
    there = [name for name in names if name in raw.table and pd.api.types.is_numeric_dtype(raw.table[name])]
    return {name: measure(raw.table[name]) for name in there}


def _is_blurred(precision: Precision | None) -> bool:
    return precision is not None and precision.matters


def _derive(raw: Raw, blurred: list[str]) -> pd.DataFrame:
    """The frame that is checked: a table's columns, or figures of each image, and what concerns rows as a whole."""
    frame = _image_figures(raw) if raw.table is None else raw.table
    learnable = np.arange(len(frame)) < (len(frame) if raw.test_from is None else raw.test_from)
    complete = (frame.notna().all(axis=1) if raw.table is None else complete_rows(frame, raw.schema)) & learnable
    more: dict[str, Any] = {}
    if raw.table is not None:
        for name in blurred:
            with np.errstate(over="ignore"):
                more[IN_32_BITS.format(name)] = frame[name].astype(np.float32).astype("float64")
        more["(content digest)"] = [f"{key:016x}" for key in pd.util.hash_pandas_object(raw.table, index=False)]
    more["(learnable)"] = complete.astype("int64")
    if raw.schema.is_classification and raw.schema.target in frame:
        classes = frame[raw.schema.target]
        more["(rows of its class)"] = classes.map(classes[complete].value_counts()).fillna(0).where(classes.notna())
        more["(share of its class)"] = classes.map(classes.value_counts(normalize=True))
    # At once: column by column a wide table would be copied as often.
    return pd.concat([frame, pd.DataFrame(more, index=frame.index)], axis=1)


def _image_figures(raw: Raw) -> pd.DataFrame:
    x, y = raw.images
    flat = x.reshape(len(x), -1)
    return pd.DataFrame(
        {
            raw.schema.target: np.array(raw.schema.labels)[y],
            "(darkest pixel)": flat.min(axis=1),
            "(brightest pixel)": flat.max(axis=1),
            "(mean pixel)": flat.mean(axis=1),
            "(content digest)": _digests(flat),
        }
    )


def _digests(flat: NDArray[Any]) -> list[str]:
    return [hashlib.blake2b(row, digest_size=8).hexdigest() for row in np.ascontiguousarray(flat)]


class _Suite:
    """Rules checked on one frame after another, and what came out as one result."""

    def __init__(self, name: str, form: str) -> None:
        self._name, self._form = name, form
        self._results: list[ExpectationValidationResult] = []
        self._pairs: list[tuple[Rule, ExpectationValidationResult]] = []
        self._last: ExpectationSuiteValidationResult | None = None
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)

    def check(self, source: str, frame: pd.DataFrame, rules: Iterable[Rule]) -> list[dict[str, Any]]:
        """Check rules on a frame, which is known to Great Expectations by the name of a source; a finding for each."""
        asset = self._context.data_sources.add_pandas(source).add_dataframe_asset(self._name)
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
        rules, outcomes = list(rules), []
        for order, rule in enumerate(rules):
            rule.expectation.meta = {"order": order}
        for start in range(0, len(rules), _SUITE):
            suite = gx.ExpectationSuite(name=self._name)
            for rule in rules[start : start + _SUITE]:
                suite.add_expectation(rule.expectation)
            self._last = batch.validate(suite, result_format=self._form)
            outcomes += self._last.results
        self._results += outcomes
        for outcome in outcomes:
            outcome.result = plain(outcome.result)
        # Of two rules that say the same Great Expectations keeps one.
        pairs = [(rules[_order(outcome)], outcome) for outcome in sorted(outcomes, key=_order)]
        self._pairs += pairs
        return [_finding(rule, outcome) for rule, outcome in pairs]

    def failed(self) -> list[tuple[Rule, ExpectationValidationResult]]:
        """The rules that were broken, with what came out."""
        return [(rule, outcome) for rule, outcome in self._pairs if not outcome.success]

    def result(self) -> ExpectationSuiteValidationResult:
        """All that was checked, which is at least one rule."""
        result = self._last
        if result is None:
            raise ValueError("no rule was checked; expected one")
        found = calc_validation_statistics(self._results)
        result.results, result.success = self._results, found.success
        result.statistics = {key: value for key, value in found._asdict().items() if key != "success"}
        result.meta["batch_spec"]["data_asset_name"] = self._name
        return result


def _order(outcome: ExpectationValidationResult) -> int:
    return int(outcome.expectation_config.meta["order"])


def _finding(rule: Rule, outcome: ExpectationValidationResult) -> dict[str, Any]:
    """One rule's outcome as plain data."""
    found = outcome.result
    # A rule that could not be checked at all, such as one on a column that is missing, comes back empty.
    observed = "could not be checked: the column is missing or of the wrong type"
    if "observed_value" in found:
        observed = found["observed_value"] = _rounded(_shown(found["observed_value"]))
    elif "element_count" in found:
        observed = f"{found['unexpected_count']} of {found['element_count']} rows otherwise"
    rows, values = found.get("partial_unexpected_index_list") or [], found.get("partial_unexpected_list") or []
    return {
        "rule": rule.name,
        "column": outcome.expectation_config.kwargs.get("column"),
        "passed": bool(outcome.success),
        "observed": observed,
        "expected": rule.expected,
        "fix": rule.fix,
        "rows": [{"row": row, "value": _shown(value)} for row, value in list(zip(rows, values, strict=False))[:_SHOWN]],
    }


def _rounded(value: Any) -> Any:
    """A figure without the digits that depend on the order in which a machine adds up."""
    return float(f"{value:.6g}") if isinstance(value, float) and value % 1 else value


def _shown(value: Any) -> Any:
    """A value that JSON can hold: an empty cell is null, infinity a word."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _sections(result: ExpectationSuiteValidationResult) -> str:
    """Great Expectations' sections for a page of our own: theirs loads a dozen files from elsewhere and is dated."""
    view = DefaultJinjaSectionView()
    count = itertools.count()
    view.env.filters["generate_html_element_uuid"] = lambda prefix="": f"{prefix}{next(count)}"
    document = ValidationResultsPageRenderer().render(result).to_json_dict()
    sections = []
    for index, section in enumerate(document["sections"], start=1):
        # The collapsed block says when and on which machine it ran.
        section["content_blocks"] = [b for b in section["content_blocks"] if b["content_block_type"] != "collapse"]
        sections.append(view.render({"section": section, "section_loop": {"index": index}}))
    # The suite's own page is not written.
    body = re.sub(r'<a href="\.\./[^"]*"\s*>(.*?)</a>', r"\1", "\n".join(sections), flags=re.DOTALL)
    return "\n".join(line.strip() for line in body.splitlines() if line.strip())
