"""What raw data must satisfy, rule by rule, made from a task's schema."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import great_expectations.expectations as gxe
import numpy as np
from great_expectations.expectations.expectation import Expectation

from redoubt.bundle.schema import Schema
from redoubt.data.prepare.precision import KEPT, LARGEST_STD, SMALLEST_STD, Precision
from redoubt.data.shared.dataset import Raw
from redoubt.data.shared.survey import listed
from redoubt.data.verdict import EMPTY
from redoubt.params.settings.data_params import JudgedParams
from redoubt.params.settings.sections import ValidateParams

LARGEST = float(np.finfo(np.float32).max)
# The column of a column's values as a network takes them.
IN_32_BITS = "{} (in 32 bits)"
# By column of numbers; None of one that does not vary.
Precisions = Mapping[str, Precision | None]


@dataclass(frozen=True)
class Rule:
    """One expectation, and what to tell the owner of data that breaks it."""

    name: str
    expected: str
    fix: str
    expectation: Expectation


def content_rules(raw: Raw, task: JudgedParams, columns: Collection[str], precisions: Precisions) -> Iterator[Rule]:
    """Rules on cells or pixels, and on repeated rows.

    Args:
        raw: the data.
        task: its `validate` section sets the limits.
        columns: of a table, those to make rules of their own of.
        precisions: of its columns of numbers.
    """
    checks = task.checks
    if raw.table is None:
        yield from _image_rules(raw.levels)
    else:
        yield from _table_rules(raw.schema, task, columns)
        for name in columns:
            yield from _precision_rules(name, precisions.get(name))
    what = "image" if raw.table is None else "row"
    yield Rule(
        "duplicates",
        f"at most {checks.max_duplicates:.1%} of {what}s the same as another",
        f"drop the repeated {what}s from the source, or raise validate.max_duplicates in params.yaml",
        gxe.ExpectColumnValuesToBeUnique(column="(content digest)", mostly=1.0 - checks.max_duplicates),
    )


def size_rules(schema: Schema, checks: ValidateParams, least: int) -> Iterator[Rule]:
    """Rules on how many rows there are, in all and of each class.

    Args:
        schema: of the data.
        checks: the limits.
        least: rows that the folds need, of each class.
    """
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


def _table_rules(schema: Schema, task: JudgedParams, columns: Collection[str]) -> Iterator[Rule]:
    """Types, empty cells and ranges, column by column."""
    names = [column.name for column in schema.columns]
    yield Rule(
        "columns",
        listed([*names, schema.target], 50),
        "run the ingest stage again",
        gxe.ExpectTableColumnsToMatchSet(column_set=[*names, schema.target], exact_match=False),
    )
    for name in columns:
        yield _empty_rule(name, task)
    for column in schema.columns:
        if column.name not in columns:
            continue
        if column.kind == "category":
            yield Rule(
                "known categories",
                f"one of {listed(column.categories)}",
                "run the ingest stage again",
                gxe.ExpectColumnValuesToBeInSet(column=column.name, value_set=list(column.categories)),
            )
        else:
            yield from _number_rules(column.name)
    if not schema.is_classification and schema.target in columns:
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


def _precision_rules(name: str, precision: Precision | None) -> Iterator[Rule]:
    """Of a column that varies: a spread that the network's scaler can hold, and values that float32 keeps apart."""
    if precision is None:
        return
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
