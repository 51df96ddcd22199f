"""Dates in a user's table: read as they are written, and taken apart as the endpoint takes one apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.data.dated import expand
from redoubt.data.locate import SourceError
from redoubt.data.shared.dataset import Raw, prepared
from redoubt.data.shared.dates import as_iso, parsed
from redoubt.data.tables import Origin, build, misfits
from redoubt.params.load import load
from redoubt.params.settings.data_params import DataParams

DAYS = pd.date_range("2023-11-20 22:30", periods=150, freq="17h")
WRITTEN = {
    "iso": DAYS.strftime("%Y-%m-%dT%H:%M:%S"),
    "blank": DAYS.strftime("%Y-%m-%d %H:%M"),
    "german": DAYS.strftime("%d.%m.%Y %H:%M"),
    "british": DAYS.strftime("%d/%m/%Y %H:%M"),
    "american": DAYS.strftime("%m/%d/%Y %H:%M"),
    "half days": DAYS.strftime("%-m/%-d/%Y %-I:%M %p"),
    "half days behind an iso date": DAYS.strftime("%Y-%m-%d %I:%M:%S %p"),
    "half days in small letters": DAYS.strftime("%m/%d/%Y %-I:%M%p").str.lower(),
    "half days with dots": DAYS.strftime("%m/%d/%Y %-I:%M ") + np.where(DAYS.hour < 12, "a.m.", "p.m."),
    "two digits of the year": DAYS.strftime("%d.%m.%y %H:%M"),
    "american, two digits and half days": DAYS.strftime("%-m/%-d/%y %-I:%M %p"),
    "offset": (DAYS + pd.Timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    "utc": DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "typed": DAYS,
    "with a zone": DAYS.tz_localize("UTC").tz_convert("Asia/Tokyo"),
}


def task(top: Path, **more: object) -> DataParams:
    lines = [f"    {key}: {value}" for key, value in more.items()]
    block = "\n".join(["  own:", "    kind: regression", "    source: own.csv", "    target: y", *lines, ""])
    (top / "own.yaml").write_text(Path("params.yaml").read_text().replace("tasks:\n", f"tasks:\n{block}", 1))
    return load(top / "own.yaml").task("own")


@pytest.fixture
def own(tmp_path: Path) -> DataParams:
    parts = "{at: [year, month, day, weekday, hour, days]}"
    return task(tmp_path, features="[x]", dates=parts, tolerance=1.0, missing="{at_hour: median}")


@pytest.mark.parametrize("how", ["%d.%m.%Y", "%d/%m/%Y", "%Y-%m-%d", "%Y/%m/%d", "%m-%d-%Y"])
def test_days_without_a_time(own: DataParams, how: str) -> None:
    raw = made(own, DAYS.strftime(how))
    assert raw.table is not None
    assert raw.table["at_day"].tolist() == DAYS.day.tolist()
    assert raw.table["at_month"].tolist() == DAYS.month.tolist()
    assert set(raw.table["at_hour"]) == {0.0}


def table(at: object) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(150.0), "at": at, "y": np.arange(150.0) * 2})


def made(own: DataParams, at: object) -> Raw:
    return build(table(at), own, Origin("own.csv"))


@pytest.mark.parametrize("way", WRITTEN)
def test_the_same_parts_however_a_date_is_written(own: DataParams, way: str) -> None:
    raw = made(own, WRITTEN[way])
    x, when = prepared(raw).batch.x, DAYS
    assert raw.schema.input_names[:7] == ["x", "at_year", "at_month", "at_day", "at_weekday", "at_hour", "at_days"]
    expected = [
        when.year,
        when.month,
        when.day,
        when.day_of_week + 1,
        when.hour,
        (when.normalize() - when[0].normalize()).days,
    ]
    assert x[:, 1:7].tolist() == np.stack(expected, axis=1).tolist()
    assert not raw.schema.mutable[1:].any()


@pytest.mark.parametrize("way", [way for way in WRITTEN if WRITTEN[way].dtype != DAYS.dtype and "zone" not in way])
def test_all_of_them_take_the_parsers_short_way(way: str) -> None:
    """What is not written as ISO 8601 takes pandas 20 times as long: a minute for a million rows."""
    text = pd.Series(WRITTEN[way])
    assert as_iso(text, way not in ("american", "half days")).str.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d{1,2}:\d\d.*").all()
    assert not as_iso(text, True).str.contains("[ap]\\.?m", case=False).any()


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("5/31/2024 12:00 AM", "2024-05-31 00:00"),
        ("5/31/2024 12:30 pm", "2024-05-31 12:30"),
        ("5/31/2024 11:59:59.5 PM", "2024-05-31 23:59:59.5"),
        ("5/31/2024 5 PM", "2024-05-31 17:00"),
        ("5/31/2024 13:00 PM", "NaT"),
        ("5/31/2024 0:10 AM", "2024-05-31 00:10"),
        ("5/31/68", "2068-05-31"),
        ("5/31/69", "1969-05-31"),
        ("13/31/2024", "NaT"),
        ("13/31/24", "NaT"),
    ],
)
def test_the_edges_of_half_days_and_of_centuries(text: str, iso: str) -> None:
    found = parsed(pd.Series([text]), first=False)
    assert found.isna().all() if iso == "NaT" else found[0] == pd.Timestamp(iso)


def test_the_endpoint_takes_the_date_apart_alike(own: DataParams) -> None:
    raw = made(own, WRITTEN["german"])
    asked = [{"x": float(row), "at": when.isoformat()} for row, when in enumerate(DAYS)]
    served = raw.schema.model_copy(
        update={"columns": tuple(each.model_copy(update={"missing": None}) for each in raw.schema.columns)}
    ).model_copy(update={"shape": raw.schema.shape})
    assert served.encode(asked).tolist() == prepared(raw).batch.x.tolist()


def test_a_file_that_is_asked_about_is_taken_apart_alike(own: DataParams) -> None:
    raw, columns = made(own, WRITTEN["german"]), [*own.parts]
    found, errors = expand(table(WRITTEN["british"]), raw.schema.dates, "asked.csv")
    assert errors == {}
    assert raw.table is not None
    assert found[columns].to_numpy().tolist() == raw.table[columns].to_numpy().tolist()
    there = table(WRITTEN["iso"]).assign(at_year=1)
    assert list(expand(there, raw.schema.dates, "asked.csv")[0]) == list(there), "its parts are there already"


def test_rows_of_one_name_are_no_hindrance(own: DataParams) -> None:
    """As a frame is that was put together of parts."""
    parts = pd.concat([table(WRITTEN["german"])] * 2)
    raw = build(parts, own, Origin("own.parquet"))
    assert raw.table is not None
    assert raw.table["at_day"].tolist() == DAYS.day.tolist() * 2


def test_an_empty_cell_stays_empty(own: DataParams) -> None:
    raw = made(own, pd.Series(WRITTEN["iso"]).mask(np.arange(150) == 3))
    assert raw.table is not None
    assert raw.table[list(own.parts)].isna().all(axis=1).tolist() == [row == 3 for row in range(150)]


def test_a_year_first_stays_first_beside_a_day_first(own: DataParams) -> None:
    cells = [
        each if row % 2 else when
        for row, (each, when) in enumerate(zip(WRITTEN["iso"], WRITTEN["german"], strict=True))
    ]
    raw = made(own, cells)
    assert raw.table is not None
    assert raw.table["at_day"].tolist() == DAYS.day.tolist()
    assert raw.table["at_month"].tolist() == DAYS.month.tolist()


BROKEN = {
    "a time alone": ("12:30", "1 of 150 cells are none"),
    "a word that is a day": ("today", "1 of 150 cells are none"),
    "a number": ("2024.5", "1 of 150 cells are none"),
    "words": ("soon", "must hold dates, but 1 of 150 cells are none, the first in row 3 .*: 'soon'"),
    "a year alone": ("2024", "1 of 150 cells are none"),
    "no such day": ("2024-02-31", "1 of 150 cells are none"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_date_is_named(own: DataParams, name: str) -> None:
    cell, sentence = BROKEN[name]
    cells = [*WRITTEN["iso"][:3], cell, *WRITTEN["iso"][4:]]
    with pytest.raises(SourceError, match=sentence):
        made(own, cells)
    assert list(misfits(table(cells), own)) == [3]


def test_the_day_or_the_month_first_is_not_guessed(own: DataParams) -> None:
    with pytest.raises(SourceError, match="with the day or the month first"):
        made(own, [f"{n % 12 + 1}/{n % 11 + 1}/2024" for n in range(150)])


def test_a_part_that_is_a_column_already_is_refused(own: DataParams) -> None:
    with pytest.raises(SourceError, match="gives a column 'at_year', which the table has already"):
        build(table(DAYS).assign(at_year=1), own, Origin("own.csv"))
