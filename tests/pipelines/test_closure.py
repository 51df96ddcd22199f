"""The code that a stage depends on in dvc.yaml is what it imports, no more and no less."""

import json
from pathlib import Path

import pytest

from pipelines import resolve, resolve_course
from redoubt.code import EXEMPT, closure
from redoubt.studies.catalogue import NAMES, module_of
from tests.support.closure import PROJECT, code_in, covered, declared, needed, stages, wanted

STAGES = stages()
WITHOUT_A_TASK = {"resolve_course", "study", "report"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_dependencies_are_the_closure_both_ways(stage: str) -> None:
    paths = declared(STAGES[stage])
    missing = [path for path in paths if not (PROJECT / path).exists()]
    assert not missing, "dvc.yaml depends on what is not there; run: python -m tests.support.closure --write"
    unread = {path: sorted(covered([path]) - covered(sorted(needed(stage)))) for path in paths}
    assert not {path: files for path, files in unread.items() if files}, "dvc.yaml says more than the stage reads"
    undeclared = covered(sorted(needed(stage))) - covered(paths)
    assert not undeclared, "the stage imports more than dvc.yaml says; run: python -m tests.support.closure --write"


@pytest.mark.parametrize("stage", STAGES)
def test_the_list_is_as_short_as_it_can_be(stage: str) -> None:
    assert sorted(declared(STAGES[stage])) == sorted(wanted(stage))


def test_no_stage_reads_params_but_the_first() -> None:
    readers = {name for name, stage in STAGES.items() if "params.yaml" in stage["deps"] or "params" in stage}
    assert readers == {"resolve", "resolve_course"}


@pytest.mark.parametrize("stage", STAGES)
def test_who_reads_a_tasks_examples_depends_on_them(stage: str) -> None:
    item = "${item.task}" if stage == "harden" else "${item}"
    read = {f"data/raw/{item}", f"data/splits/{item}.npz", f"models/{item}/scaler.json"}
    assert ("pipelines/_data.py" in needed(stage)) == (read <= set(STAGES[stage]["deps"]))


def test_a_study_depends_on_its_own_module_and_not_on_the_others() -> None:
    for name in NAMES:
        files = {path.stem for path in closure(module_of(name)) if "studies" in path.parts}
        assert name in files
        assert not files & {"catalogue", "sizes", "files"}
    alone = {path.stem for path in closure(module_of("polynomial"))} & set(NAMES)
    assert alone == {"polynomial"}


def test_what_cannot_change_a_result_is_there_and_says_why() -> None:
    for module, why in EXEMPT.items():
        path = PROJECT / ("" if module.startswith("pipelines") else "src") / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{module} is exempt, but is not there"
        assert len(why.split()) > 2


def test_every_file_of_code_belongs_to_a_stage_or_to_a_command() -> None:
    """What no stage imports is a command's, a service's or a study's: a stage's rest would be dead code."""
    used: set[str] = set().union(*(covered(sorted(needed(stage))) for stage in STAGES if stage != "resolve_course"))
    used |= {path.relative_to(PROJECT).as_posix() for name in NAMES for path in closure(module_of(name))}
    commands = {path.relative_to(PROJECT).as_posix() for path in closure("redoubt.cli.__main__")}
    params = set(code_in("src/redoubt/params"))
    assert params <= used | commands


def test_resolved_files_hold_settings_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((PROJECT / "params.yaml").read_text())
    for folder in ("resolved/gone", "resolved/digits"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "old.json").write_text("{}")
    resolve.work("digits")
    resolve_course.work("quick")
    files = {path.relative_to("resolved").as_posix() for path in Path("resolved").rglob("*.json")}
    assert files == {
        *(f"digits/{stage}.json" for stage in STAGES if stage not in {"resolve", "harden", *WITHOUT_A_TASK}),
        *(f"digits/harden-{model}.json" for model in ("adversarial", "certified", "smoothed")),
        *(f"studies/{name}.json" for name in NAMES),
        "report.json",
    }


def test_the_code_of_a_study_and_of_its_stage_is_digested_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((PROJECT / "params.yaml").read_text())
    resolve_course.work("quick")
    for name in NAMES:
        code = json.loads(Path(f"resolved/studies/{name}.json").read_text())["code"]
        files = [*closure(module_of(name)), *closure("pipelines.study")]
        assert set(code) == {path.relative_to(PROJECT).as_posix() for path in files}
    assert STAGES["study"]["deps"] == ["resolved/studies/${key}.json"]
