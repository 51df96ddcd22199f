"""The file as a whole: what it may be, how much it may hold, and that nothing in it is unread."""

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml

from redoubt.params import load as loading
from redoubt.params import recipes
from redoubt.params import task as tasks
from redoubt.params.load import load
from redoubt.params.settings import base, networks, sections
from redoubt.params.settings.base import ParamsError, Strict
from redoubt.params.settings.sections import HARDENED


def test_every_declared_task_loads(project: Path) -> None:
    declared = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["tasks"]
    params = load(project / "params.yaml")
    assert list(params.tasks) == list(declared)
    assert {name: task.kind for name, task in params.tasks.items()} == {n: t["kind"] for n, t in declared.items()}
    assert set(params.run) <= set(declared)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected keys and values, got NoneType"),
        ("- seed", "expected keys and values, got list"),
        ("seed: [", "not valid YAML"),
        ("seed: 1", "missing key 'run'"),
    ],
)
def test_a_file_that_holds_no_params(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError, match=f"params.yaml: {says}"):
        load(tmp_path / "params.yaml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="params.yaml: no such file; run the command in the project's top folder"):
        load(tmp_path / "params.yaml")


def nested(depth: int) -> str:
    return "seed: " + "[" * depth + "]" * depth


LAUGHS = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TOO_MUCH = {
    "deep-flow": (nested(5000), "line 1: values nested more than 50 deep"),
    "deep-block": ("\n".join(f"{'  ' * i}k:" for i in range(600)), "line 5.: values nested more than 50 deep"),
    "aliases": (LAUGHS, "line 5: more than 100,000 values, aliases written out"),
    "itself": ("a: &a [*a]\n", r"line 1: '\*a' holds itself"),
    "itself-deep": ("a: &a {b: {c: [*a]}}\n", r"line 1: '\*a' holds itself"),
    "long": ("# " + "x" * 2**20, "the file has 1,048,578 bytes, at most 1,048,576 are read"),
    "many": ("a: [" + "1," * 110_000 + "]", "line 1: more than 100,000 values"),
    "digits": ("seed: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
    "no-day": ("seed: 2026-02-31", "not valid YAML: day is out of range"),
    "tag": ("seed: !!python/object/apply:os.getcwd []", "not valid YAML: could not determine a constructor"),
    "two-documents": ("seed: 1\n---\nseed: 2", "not valid YAML: expected a single document in the stream in "),
    "twice": ("seed: 1\nrun: [a]\nseed: 2", "line 3: the key 'seed' stands in line 1 already; keep one of the two"),
    "twice-inside": ("a:\n  b: {c: 1, d: 2, c: 3}", "line 2: the key 'c' stands in line 2 already"),
    "twice-in-a-list": ("a: [{k: 1, 'k': 2}]", "line 1: the key 'k' stands in line 1 already"),
    "latin-1": ("seed: 1 # ö".encode("latin-1"), "not UTF-8: .* at byte 10"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_a_file_that_would_take_too_much_is_refused_before_it_is_built(case: str, tmp_path: Path) -> None:
    content, says = TOO_MUCH[case]
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ParamsError, match=rf"^{re.escape(str(path))}: {says}") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_aliases_and_merges_are_for_use(project: Path, tmp_path: Path) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("  diagnosis: ", "  diagnosis: &own", 1)
    text = text.replace("  digits: ", "  again: {<<: *own, target: diagnosis}\n  digits: ", 1)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(path).tasks["again"].source == "breast_cancer"


def _fields() -> set[str]:
    modules = (base, networks, sections, recipes, tasks, loading)
    members = chain.from_iterable(vars(module).values() for module in modules)
    types = [each for each in members if isinstance(each, type) and issubclass(each, Strict)]
    return set(chain.from_iterable(each.model_fields for each in types))


def test_no_option_is_dead(project: Path) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in chain((project / "src").rglob("*.py"), (project / "pipelines").glob("*.py"))
    )
    declared = _fields()
    assert {"median", "selection_draws", "max_missing"} <= declared
    # Recipes are read by the name of their model.
    declared -= set(HARDENED)
    assert sorted(name for name in declared if not re.search(rf"\w\.{name}\b", code)) == []
