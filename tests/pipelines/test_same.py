"""What a run says where its outputs are other ones than the committed lock has."""

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines._same import differing, other_bytes, processor


def stage(dep: str, out: str) -> dict[str, Any]:
    return {
        "cmd": 'python -m pipelines.x "$DVC_STAGE"',
        "deps": [{"path": "src", "md5": dep}],
        "params": {"params.yaml": {"seed": 20}},
        "outs": [{"path": "models/a", "md5": out}, {"path": "reports/a.json", "md5": "same"}],
    }


LOCK = {"train@a": stage("code", "weights"), "attack@a": stage("weights", "shares"), "train@b": stage("code", "b")}
Edit = Callable[[dict[str, Any]], None]
CASES: dict[str, tuple[Edit, dict[str, list[str]]]] = {
    "nothing": (lambda lock: None, {}),
    "other-weights": (lambda lock: lock.update({"train@a": stage("code", "w")}), {"train@a": ["models/a"]}),
    "what-reads-them-is-not-named": (
        lambda lock: lock.update({"train@a": stage("code", "w"), "attack@a": stage("w", "s")}),
        {"train@a": ["models/a"]},
    ),
    "other-code": (lambda lock: lock.update({"train@a": stage("new code", "w")}), {}),
    "other-seed": (lambda lock: lock["train@a"].update(params={"params.yaml": {"seed": 1}}, outs=[]), {}),
    "a-stage-more": (lambda lock: lock.update({"train@c": stage("code", "c")}), {}),
    "a-stage-less": (lambda lock: lock.pop("train@b"), {}),
    "an-output-more": (lambda lock: lock["train@b"]["outs"].append({"path": "new", "md5": "1"}), {}),
}


@pytest.mark.parametrize(("edit", "found"), CASES.values(), ids=CASES)
def test_what_differs_is_what_was_made_otherwise_of_the_same(edit: Edit, found: dict[str, list[str]]) -> None:
    now = copy.deepcopy(LOCK)
    edit(now)
    assert differing(LOCK, now) == found


def write(folder: Path, stages: dict[str, Any]) -> None:
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def git(folder: Path, *words: str) -> None:
    person = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *person, *words], cwd=folder, check=True, capture_output=True)


def test_one_sentence_names_the_outputs_and_the_processor(tmp_path: Path) -> None:
    write(tmp_path, LOCK)
    assert other_bytes(tmp_path) is None, "no git"
    git(tmp_path, "init", "-q")
    assert other_bytes(tmp_path) is None, "no commit"
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "start")
    assert other_bytes(tmp_path) is None
    write(tmp_path, LOCK | {"train@a": stage("code", "w")})
    said = other_bytes(tmp_path)
    assert said is not None
    assert (
        "differ from the committed dvc.lock although code, settings and data are the same: train@a (models/a)" in said
    )
    assert processor() in said
    assert "\n" not in said


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    many = {f"train@{number}": stage("code", "weights") for number in range(9)}
    write(tmp_path, many)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        git(tmp_path, *words)
    write(tmp_path, {name: stage("code", "w") for name in many})
    said = other_bytes(tmp_path)
    assert said is not None
    assert " and 4 more; " in said
