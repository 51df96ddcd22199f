"""Names of tasks and studies: safe in a path, a command and an address, and nobody else's."""

import re
import shlex
from pathlib import Path
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from redoubt.bundle.base.types import is_name
from redoubt.params.load import load
from redoubt.params.settings.base import ParamsError
from tests.support.params import DUMPER, Change, Write

NOT_NAMES = [
    *("x; touch pwned #", "../../../out", "a b", "my churn", "churn.v2", ".", "..", "", "-x", "_x", "a/b", "a\\b"),
    *("/tmp/x", "$(touch pwned)", "`id`", "a'b", 'a"b', "a\n", "a\nb", "流失", "café", "a@b", "a:b", "a" * 65),
    *("${seed}", "%s", "\0"),
]


def _raw_load(change: Change, text: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    written = yaml.dump({**text, **change}, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    path.write_text(written, encoding="utf-8")
    load(path)


@pytest.mark.parametrize("name", NOT_NAMES, ids=ascii)
def test_what_is_no_name_is_refused_by_name(whole: dict[str, Any], tmp_path: Path, name: str) -> None:
    for change in (
        {"run": ["digits"], "tasks": {"digits": whole["tasks"]["digits"], name: whole["tasks"]["digits"]}},
        {"run": [name]},
        {"studies": {name: {}}},
    ):
        with pytest.raises(ParamsError) as raised:
            _raw_load(change, whole, tmp_path)
        said = str(raised.value)
        assert "a name is made of the letters a to z, digits, '-' and '_'" in said
        assert f"got {name[:64]!r}"[:20] in said
        assert "\n" not in said


@given(st.text(max_size=80) | st.from_regex(r"[\w./ -]{1,70}", fullmatch=True))
def test_a_name_is_one_word_of_a_path_a_command_and_an_address(text: str) -> None:
    safe = bool(text) and all(each in ascii_letters + digits + "-_" for each in text)
    assert is_name(text) == (safe and len(text) <= 64 and text[0] not in "-_")
    if is_name(text):
        assert (Path("top") / text).resolve().parent == Path("top").resolve()
        assert shlex.split(f"stage {text}") == ["stage", text]
        assert quote(text) == text


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["churn", "Churn"], "'churn' and 'Churn' differ in case alone"),
        (["Studies"], "'Studies' is taken: reports/studies holds the studies"),
        (["sections"], "'sections' is taken: reports/sections holds a page of every task"),
        (["metrics"], "'metrics' is taken: reports/metrics holds a file of every task"),
        (["attacks"], "'attacks' is taken: reports/attacks holds what `redoubt attack` writes"),
        (["certificates"], "'certificates' is taken"),
        (["course"], "'course' is taken: MLflow's experiment 'course' holds the studies"),
        (["index"], "'index' is taken: reports/index.html is the report on all tasks"),
        ([2024], "YAML reads 2024 as int; put the name in quotes"),
        ([True], "YAML reads True as bool; put the name in quotes"),
    ],
    ids=str,
)
def test_a_name_that_is_anothers_is_refused(whole: dict[str, Any], tmp_path: Path, names: list[Any], says: str) -> None:
    tasks = dict.fromkeys(["digits", *names], whole["tasks"]["digits"])
    with pytest.raises(ParamsError, match=re.escape(f"params.yaml: tasks: {says}")):
        _raw_load({"run": ["digits"], "tasks": tasks}, whole, tmp_path)


def test_names_that_look_odd_are_good(written: Write, whole: dict[str, Any]) -> None:
    block = whole["tasks"]["digits"]
    for name in ("own", "2024", "Churn-2024_b", "a" * 64):
        assert load(written({f"tasks.{name}": block, "run": [name]})).task(name).name == name


def test_a_task_named_twice_in_run_is_refused(written: Write) -> None:
    with pytest.raises(ParamsError, match="run names task 'digits' twice"):
        load(written({"run": ["digits", "diagnosis", "digits"]}))


def test_an_unknown_task_to_run(written: Write) -> None:
    path = written({"run": ["digitz"]})
    with pytest.raises(ParamsError, match="no task 'digitz'; did you mean 'digits'\\? declared tasks: evolution, "):
        load(path)
