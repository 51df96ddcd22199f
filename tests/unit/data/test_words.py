"""Categories and classes of a user's data are brought to one form, which is said and kept by every later step."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.data import expectations, sources
from redoubt.data.shared.dataset import prepared
from redoubt.data.shared.words import changed, words
from redoubt.params.load import Params
from redoubt.params.settings.own_rules import OwnRule

ROWS = 120


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("cells", "kept", "says"),
    [
        (["Pro ", "Pro", " ", ""], ["Pro", "Pro", None, None], "'a': 1 cells are normalized (blanks: 'Pro ' is 'Pro')"),
        (["a\xa0b", "a  b", None], ["a b", "a b", None], "'a': 2 cells are normalized (blanks: 'a\\xa0b' is 'a b')"),
        (["e\u0301", "é"], ["é", "é"], r"'a': 1 cells are normalized (Unicode NFC: 'e\u0301' is '\xe9')"),
        ([1, 2, 3], ["1", "2", "3"], ""),
        ([1.0, None, 3.0], ["1", None, "3"], ""),
        ([1.5, None, 3.0], ["1.5", None, "3.0"], ""),
        ([True, False], ["True", "False"], ""),
        (pd.Categorical(["x ", None], categories=["x ", "never "]), ["x", None], "'a': 1 cells are normalized"),
    ],
    ids=str,
)
def test_what_becomes_of_a_column(cells: object, kept: list[str | None], says: str) -> None:
    column = pd.Series(cells, name="a")
    found = words(column)
    assert [None if pd.isna(each) else each for each in found] == kept
    assert changed(column).startswith(says)
    assert bool(changed(column)) == bool(says)
    assert changed(found) == ""


def test_a_blank_makes_no_other_category_or_class(params: Params) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 9, ROWS).round(2), "plan": ["Pro ", "Pro", "basic"] * (ROWS // 3)})
    table["left"] = np.where(np.arange(ROWS) % 2, "yes", np.where(np.arange(ROWS) % 4, "no\xa0", "no"))
    table.to_csv("own.csv", index=False)
    own = {"source": "own.csv", "target": "left", "features": ("age",), "categorical": ("plan",)}
    task = params.tasks["diagnosis"].model_copy(update=own)
    raw = sources.fetch(task, 1)
    assert raw.schema.columns[1].categories == ("Pro", "basic")
    assert raw.schema.labels == ("no", "yes")
    assert "column 'plan': 40 cells are normalized (blanks: 'Pro ' is 'Pro')" in raw.survey.notes
    assert "column 'left': 30 cells are normalized (blanks: 'no\\xa0' is 'no')" in raw.survey.notes
    assert np.bincount(prepared(raw).batch.y).tolist() == [ROWS // 2, ROWS // 2]
    arguments = {"column": "plan", "value_set": ["Pro ", "basic"]}
    kept = (OwnRule(type="expect_column_values_to_be_in_set", arguments=arguments),)
    assert expectations.validate(raw, task, kept).passed, "a suite from before holds the word as it then was"


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_blank_makes_no_other_class_of_images(params: Params, as_bytes: bool) -> None:
    names = np.array(["cat", "cat ", "do\u0308g"] * 4)
    y = np.char.encode(names, "utf-8") if as_bytes else names
    np.savez("own.npz", x=np.random.default_rng(0).integers(0, 255, (12, 6, 6), dtype=np.uint8), y=y)
    raw = sources.fetch(params.tasks["digits"].model_copy(update={"source": "own.npz"}), 1)
    assert raw.schema.labels == ("cat", "dög")
    assert np.bincount(raw.images[1]).tolist() == [8, 4]
    said = "2 names of classes are normalized (blanks: 'cat ' is 'cat'; Unicode NFC: 'do\\u0308g' is 'd\\xf6g')"
    assert said in raw.survey.notes
