"""What raw data must satisfy: Great Expectations suites built from a task's schema, their verdict and their page.

The only module that imports great_expectations.
"""

import hashlib
import html
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import Expectation
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView
from great_expectations.validator.validation_statistics import calc_validation_statistics
from numpy.typing import NDArray

from redoubt.bundle.schema import Schema
from redoubt.data.dataset import Raw
from redoubt.data.dataset import complete as complete_rows
from redoubt.data.docs_page import FRAME, STYLE
from redoubt.data.precision import KEPT, LARGEST_STD, SMALLEST_STD, measure
from redoubt.data.splits import needed
from redoubt.data.store import plain
from redoubt.data.survey import listed
from redoubt.data.verdict import EMPTY, Verdict
from redoubt.params.sections import JudgedParams, ValidateParams

LARGEST = float(np.finfo(np.float32).max)
# The column of a column's values as a network takes them.
IN_32_BITS = "{} (in 32 bits)"
_SHOWN = 10
# So many rules at a time: Great Expectations compares each with all others of its suite.
_SUITE = 60


@dataclass(frozen=True)
class Rule:
    """One expectation, and what to tell the owner of data that breaks it."""

    name: str
    expected: str
    fix: str
    expectation: Expectation


def validate(raw: Raw, task: JudgedParams) -> Verdict:
    """Check raw data against the suite of its task.

    Args:
        raw: table or images, as `dataset.read` gives them.
        task: its `validate` section and its folds set the limits.
    """
    frame = _derive(raw)
    least = needed(len(raw), task.split, raw.test_from)
    rules = [*_size_rules(raw.schema, task.checks, least), *_content_rules(raw, task)]
    result = _run(frame, rules, task.name)
    found = [_finding(rule, outcome) for rule, outcome in zip(rules, _in_order(result), strict=True)]
    report = {"task": task.name, "source": raw.source, "rows": len(raw), "passed": bool(result.success), "rules": found}
    if task.missing and raw.table is not None:
        shares = raw.table.isna().mean().round(6)
        report["missing"] = {str(name): float(share) for name, share in shares.items() if share}
    return Verdict(bool(result.success), report, _page(result, task.name))


def _content_rules(raw: Raw, task: JudgedParams) -> Iterator[Rule]:
    checks = task.checks
    if raw.table is None:
        yield from _image_rules(raw.levels)
    else:
        yield from _table_rules(raw.schema, task)
        yield from _precision_rules(raw.table, raw.schema)
    what = "image" if raw.table is None else "row"
    yield Rule(
        "duplicates",
        f"at most {checks.max_duplicates:.1%} of {what}s the same as another",
        f"drop the repeated {what}s from the source, or raise validate.max_duplicates in params.yaml",
        gxe.ExpectColumnValuesToBeUnique(column="(content digest)", mostly=1.0 - checks.max_duplicates),
    )


def _size_rules(schema: Schema, checks: ValidateParams, least: int) -> Iterator[Rule]:
    yield Rule(
        "enough rows",
        f"at least {checks.min_rows} rows",
        "add rows, or lower validate.min_rows in params.yaml",
        gxe.ExpectTableRowCountToBeBetween(min_value=checks.min_rows),
    )
    if not schema.is_classification:
        yield Rule(
            "enough rows for the folds",
            f"at least {least} complete rows outside the source's own test set",
            "add rows, or lower split.folds in params.yaml",
            gxe.ExpectColumnSumToBeBetween(column="(learnable)", min_value=least),
        )
        return
    yield Rule(
        "more than one class",
        "at least 2 classes",
        "add rows of another class, or name another target",
        gxe.ExpectColumnUniqueValueCountToBeBetween(column=schema.target, min_value=2),
    )
    yield Rule(
        "enough of each class for the folds",
        f"at least {least} complete rows of each class outside the source's own test set",
        "add rows of that class or drop it, or lower split.folds in params.yaml",
        gxe.ExpectColumnValuesToBeBetween(column="(rows of its class)", min_value=least),
    )
    yield Rule(
        "class balance",
        f"each class at least {checks.min_class_share:.1%} of all rows",
        "add rows of that class or drop it, or lower validate.min_class_share in params.yaml "
        "and set train.balance: weights, so that the class is learnt",
        gxe.ExpectColumnValuesToBeBetween(column="(share of its class)", min_value=checks.min_class_share),
    )
    yield Rule(
        "known classes",
        f"one of {listed(schema.labels)}",
        "run the ingest stage again",
        gxe.ExpectColumnValuesToBeInSet(column=schema.target, value_set=list(schema.labels)),
    )


def _table_rules(schema: Schema, task: JudgedParams) -> Iterator[Rule]:
    """Types, empty cells and ranges, column by column."""
    names = [column.name for column in schema.columns]
    yield Rule(
        "columns",
        listed([*names, schema.target], 50),
        "run the ingest stage again",
        gxe.ExpectTableColumnsToMatchSet(column_set=[*names, schema.target], exact_match=False),
    )
    for name in [*names, schema.target]:
        yield _empty_rule(name, task)
    for column in schema.columns:
        if column.kind == "category":
            yield Rule(
                "known categories",
                f"one of {listed(column.categories)}",
                "run the ingest stage again",
                gxe.ExpectColumnValuesToBeInSet(column=column.name, value_set=list(column.categories)),
            )
        else:
            yield from _number_rules(column.name)
    if not schema.is_classification:
        yield from _number_rules(schema.target)


def _empty_rule(name: str, task: JudgedParams) -> Rule:
    """Of one column: as many empty cells as are allowed, or what its task says of them."""
    policy = task.missing.get(name)
    if policy is not None:
        return Rule(
            "empty cells have a policy",
            f"any share of cells empty, by the policy '{policy}'",
            "say another policy under 'missing' in params.yaml",
            gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=0.0),
        )
    most = task.checks.max_missing
    return Rule(
        EMPTY,
        f"at most {most:.1%} of cells empty",
        "fill the cells or drop the rows in the source, or raise validate.max_missing in params.yaml "
        "(rows with an empty cell are then left out)",
        gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=1.0 - most),
    )


def _number_rules(name: str) -> Iterator[Rule]:
    yield Rule(
        "numbers",
        "a column of numbers",
        "replace text by numbers in the source, or name the column under 'categorical' in params.yaml",
        gxe.ExpectColumnValuesToBeInTypeList(column=name, type_list=["float64", "int64"]),
    )
    yield Rule(
        "finite",
        "finite numbers that 32 bits can hold",
        "correct the cells in the source",
        gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-LARGEST, max_value=LARGEST),
    )


def _precision_rules(table: pd.DataFrame, schema: Schema) -> Iterator[Rule]:
    """Of columns that vary: a spread that the network's scaler can hold, and values that float32 keeps apart."""
    names = [column.name for column in schema.columns if column.kind != "category"]
    for name in names if schema.is_classification else [*names, schema.target]:
        precision = measure(table[name]) if name in table and pd.api.types.is_numeric_dtype(table[name]) else None
        if precision is None:
            continue
        yield Rule(
            "standard deviation that 32 bits can hold",
            f"a standard deviation from {SMALLEST_STD:g} to {LARGEST_STD:g}",
            "change the unit of the column (say nF for F, or t for kg), or leave it out",
            gxe.ExpectColumnStdevToBeBetween(column=name, min_value=SMALLEST_STD, max_value=LARGEST_STD),
        )
        if precision.matters:
            yield Rule(
                "values that 32 bits keep apart",
                f"at least {KEPT:.0%} of the column's {precision.distinct:,} different values still different as "
                f"float32, in which a network computes (there neighbours of {precision.largest:.6g} are "
                f"{precision.step:.3g} apart, the column's standard deviation is {precision.std:.3g})",
                "subtract a start from the column (say its smallest value), or leave it out",
                gxe.ExpectColumnUniqueValueCountToBeBetween(
                    column=IN_32_BITS.format(name), min_value=math.ceil(KEPT * precision.distinct)
                ),
            )


def _image_rules(levels: int) -> Iterator[Rule]:
    """By derived columns: an expectation per pixel would take eleven seconds for 28 x 28."""
    for name in ("(darkest pixel)", "(brightest pixel)"):
        yield Rule(
            "no broken pixel",
            "every pixel a number",
            "drop the images from the source",
            gxe.ExpectColumnValuesToNotBeNull(column=name),
        )
        yield Rule(
            "pixel range",
            f"every pixel from 0 to {levels}",
            "rescale the images in the source",
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=levels),
        )
    yield Rule(
        "full range used",
        f"some pixel of at least {levels / 2:g}",
        "the images are nearly black: were they scaled to [0, 1] and then saved as whole numbers?",
        gxe.ExpectColumnMaxToBeBetween(column="(brightest pixel)", min_value=levels / 2),
    )
    yield Rule(
        "brightness",
        f"mean pixel between 0 and {levels}, neither included",
        "all images are blank; correct the source",
        gxe.ExpectColumnMeanToBeBetween(
            column="(mean pixel)", min_value=0, max_value=levels, strict_min=True, strict_max=True
        ),
    )


def _derive(raw: Raw) -> pd.DataFrame:
    """The frame that is checked: a table's columns, or figures of each image, and what concerns rows as a whole."""
    frame = _image_figures(raw) if raw.table is None else raw.table.copy()
    learnable = np.arange(len(frame)) < (len(frame) if raw.test_from is None else raw.test_from)
    complete = (frame.notna().all(axis=1) if raw.table is None else complete_rows(frame, raw.schema)) & learnable
    if raw.table is not None:
        for name in [column for column in frame if _is_blurred(frame[column])]:
            with np.errstate(over="ignore"):
                frame[IN_32_BITS.format(name)] = frame[name].astype(np.float32).astype("float64")
        frame["(content digest)"] = [f"{key:016x}" for key in pd.util.hash_pandas_object(raw.table, index=False)]
    frame["(learnable)"] = complete.astype("int64")
    if raw.schema.is_classification and raw.schema.target in frame:
        classes = frame[raw.schema.target]
        frame["(rows of its class)"] = classes.map(classes[complete].value_counts()).fillna(0).where(classes.notna())
        frame["(share of its class)"] = classes.map(classes.value_counts(normalize=True))
    return frame


def _is_blurred(cells: "pd.Series[Any]") -> bool:
    precision = measure(cells) if pd.api.types.is_float_dtype(cells) else None
    return precision is not None and precision.matters


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


def _run(frame: pd.DataFrame, rules: list[Rule], name: str) -> ExpectationSuiteValidationResult:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("raw").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    for order, rule in enumerate(rules):
        rule.expectation.meta = {"order": order}
    results = []
    for start in range(0, len(rules), _SUITE):
        suite = gx.ExpectationSuite(name=name)
        for rule in rules[start : start + _SUITE]:
            suite.add_expectation(rule.expectation)
        result = batch.validate(suite, result_format="SUMMARY")
        results += result.results
    found = calc_validation_statistics(results)
    result.results, result.success = results, found.success
    result.statistics = {key: value for key, value in found._asdict().items() if key != "success"}
    result.meta["batch_spec"]["data_asset_name"] = name
    for outcome in result.results:
        outcome.result = plain(outcome.result)
    return result


def _in_order(result: ExpectationSuiteValidationResult) -> list[ExpectationValidationResult]:
    return sorted(result.results, key=lambda outcome: outcome.expectation_config.meta["order"])


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


def _page(result: ExpectationSuiteValidationResult, name: str) -> str:
    """Great Expectations' sections in a page of our own: theirs loads a dozen files from elsewhere and dates itself."""
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
    body = "\n".join(line.strip() for line in body.splitlines() if line.strip())
    return FRAME.format(title=f"Data docs: {html.escape(name)}", style=STYLE, body=body)
