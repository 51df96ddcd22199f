"""What an edit makes DVC do again, as DVC itself says, on a project whose outputs are there though never computed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from pipelines import resolve, resolve_course
from tests.support.checkout import Checkout

pytestmark = [
    pytest.mark.timeout(600),
    # Of a library that DVC builds its graph with.
    pytest.mark.filterwarnings("ignore:_NoneStep.value will soon:DeprecationWarning"),
]

NAME = "my-loans"
RESOLVED = [f"resolve@{NAME}", "resolve_course@quick"]
# Every output that is not there is made up, and taken for the right one.
PREPARE = f"""
import sys
from pathlib import Path
from dvc.repo import Repo
Repo().reproduce({RESOLVED!r})
repo = Repo()
for out in (out for stage in repo.index.stages for out in stage.outs if not out.exists):
    path = Path(out.fs_path)
    file = path if path.suffix else path / "content"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(path.relative_to(Path.cwd())))
repo.commit(force=True)
assert not Repo().status(), Repo().status()
"""
# What is edited -> the stages that read it: DVC runs them, and after them whoever reads what they write anew.
PARAMS: dict[str, tuple[str, Any, list[str]]] = {
    "a gate": ("gates.robust", 0.25, ["promote", "validate"]),
    "an attack's steps": ("attack.steps", 4, ["attack", "promote", "section"]),
    "a recipe": ("harden.certified.epochs", 7, ["harden-certified"]),
    "a recipe, of the same value": ("harden.certified.ramp", 0.4, []),
    "the sweep": ("sweep.epochs", 4, ["sweep"]),
    "what is certified": ("certify.draws", 120, ["certify", "section"]),
}
CODE = {
    "an attack that is not used": ("src/redoubt/scenarios/patch.py", []),
    "a method of training": ("src/redoubt/training/methods/trades.py", ["harden"]),
    "the gates": ("src/redoubt/evaluation/promotion.py", ["promote"]),
    "a template of a task's page": ("src/redoubt/report/templates/section.html", ["section"]),
    "the template of the course": ("src/redoubt/report/templates/course.html", ["report"]),
    "the training's own edge": ("pipelines/_training.py", ["harden", "train"]),
}
MODELS = ("adversarial", "certified", "smoothed")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Checkout:
    """A project of one task and two studies, in which there is nothing to do."""
    made = Checkout.of(project, tmp_path_factory.mktemp("redone"))
    made.give_table(NAME, {"polynomial": {}, "estimators": {}})
    made.good("git", "init", "-q")
    made.good("python", "-c", PREPARE)
    return made


@pytest.fixture
def edited(done: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Works in the project; gives a file of it to edit, and puts it back."""
    monkeypatch.chdir(done.folder)
    # DVC runs the commands of stages with it.
    monkeypatch.setenv("PATH", done.environment["PATH"])
    kept: dict[Path, bytes] = {}

    def edit(name: str) -> Path:
        path = done.folder / name
        kept[path] = path.read_bytes()
        return path

    yield edit
    for path, content in kept.items():
        path.write_bytes(content)


def changed() -> list[str]:
    """The stages that DVC says have changed."""
    return sorted(Repo().status())


def resolved_by_hand() -> list[str]:
    """The other stages that DVC says have changed after both of RESOLVED, which are all that depends on params.yaml."""
    resolve.work(NAME)
    resolve_course.work("quick")
    return [stage for stage in changed() if stage not in RESOLVED]


def resolved_by_dvc() -> list[str]:
    """The same, and nothing is left of RESOLVED: run by DVC, they read the code of this project itself."""
    Repo().reproduce(RESOLVED)
    return changed()


def stages(names: list[str]) -> list[str]:
    """DVC's names of the task's stages."""
    found = []
    for name in names:
        stage, _, model = name.partition("-")
        if stage == "harden":
            found += [f"harden@{NAME}-{each}" for each in ([model] if model else MODELS)]
        else:
            found.append(name if name == "report" else f"{name}@{NAME}")
    return sorted(found)


# First of all: the tests after it leave resolved what they edited, and the next one resolves it anew.
@pytest.mark.parametrize("what", CODE)
def test_an_edit_of_code_redoes_the_stages_that_import_it(what: str, edited: Callable[[str], Path]) -> None:
    name, expected = CODE[what]
    path = edited(name)
    path.write_text(path.read_text() + ("<!-- a remark -->\n" if path.suffix == ".html" else "# a remark\n"))
    # The digests of the studies' code are taken anew whatever is edited, which makes no study new.
    course = ["resolve_course@quick"] if name.startswith("src/redoubt") else []
    assert changed() == sorted([*course, *stages(expected)])


def test_dvc_says_first_that_params_must_be_resolved(done: Checkout, edited: Callable[[str], Path]) -> None:
    edited("params.yaml").write_text((done.folder / "params.yaml").read_text() + "# a remark\n")
    assert changed() == RESOLVED
    assert resolved_by_dvc() == []


@pytest.mark.parametrize("what", PARAMS)
def test_an_edit_of_params_redoes_the_stages_that_read_it(
    what: str, done: Checkout, edited: Callable[[str], Path]
) -> None:
    key, value, expected = PARAMS[what]
    edited("params.yaml")

    def edit(params: dict[str, Any]) -> None:
        block = params["tasks"][NAME]
        *above, last = key.split(".")
        for name in above:
            block = block[name]
        block[last] = value

    done.change(edit)
    assert resolved_by_hand() == stages(expected)


def test_a_study_at_another_size_is_the_only_one_redone(done: Checkout, edited: Callable[[str], Path]) -> None:
    edited("params.yaml")
    done.change(lambda params: params["studies"].update(estimators={"quick": {"draws": 500}}))
    assert resolved_by_hand() == ["study@estimators"]


def test_a_study_whose_code_is_edited_is_the_only_one_redone(edited: Callable[[str], Path]) -> None:
    path = edited("src/redoubt/studies/error/estimators.py")
    path.write_text(path.read_text() + "# a remark\n")
    assert resolved_by_dvc() == ["study@estimators"]
