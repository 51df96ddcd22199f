"""The page of worked examples: its commands work, init prints what it shows, its answers are the service's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.example_pictures import LARGEST
from benchmarks.worked_examples import MAKERS
from redoubt.bundle.schema import Schema
from redoubt.data import sources
from redoubt.params.load import load
from serving.schema import ClassPrediction, PredictRequest, PredictResponse
from tests.support.worked_page import PAGE, printed, sections

SECTIONS = sections(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(params=list(MAKERS))
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name: str = request.param
    return name


def test_every_example_has_its_section() -> None:
    assert set(SECTIONS) == set(MAKERS)
    for name, section in SECTIONS.items():
        assert section.commands[0] == f"python -m benchmarks.worked_examples my {name}"
        assert f"make repro RUN={name}" in section.commands


def test_the_page_shows_what_happens(example: str, tmp_path: Path) -> None:
    section = SECTIONS[example]
    assert printed(example, section.init, tmp_path) == section.printed, (
        "bring the page up to date: python -m tests.support.worked_page --write; train again what is promoted"
    )
    schema = sources.fetch(load().task(example), seed=0).schema
    request = _asked(schema, section.spoken[:-1])
    _check_answer(PredictResponse.model_validate_json(section.spoken[-1]), schema, request)


def _asked(schema: Schema, spoken: list[str]) -> int:
    """How many inputs the page's request holds, each of which the task must take."""
    if schema.kind == "image":
        image = Image.open(Path("my/shapes/ring/001.png"))
        assert np.asarray(image).shape == schema.shape[:2]
        return 1
    said = PredictRequest.parse(spoken[0].encode())
    assert said.task == schema.task
    # What an empty cell counts as is known once training rows were seen.
    fitted = [
        column.model_copy(update={"missing": column.missing.model_copy(update={"value": 0.0})})
        if column.missing and column.missing.value is None
        else column
        for column in schema.columns
    ]
    x = schema.model_copy(update={"columns": tuple(fitted)}).encode(said.inputs)
    assert np.isfinite(x).all()
    return len(x)


def _check_answer(said: PredictResponse, schema: Schema, count: int) -> None:
    assert (said.task, said.certify, len(said.predictions)) == (schema.task, "budget", count)
    for answer in said.predictions:
        assert isinstance(answer, ClassPrediction)
        assert tuple(answer.probabilities) == schema.labels
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
        assert answer.label == max(answer.probabilities, key=lambda label: answer.probabilities[label])
        assert set(answer.variants.values()) <= set(schema.labels)
        assert answer.certified is not None


@pytest.mark.parametrize("name", MAKERS)
def test_the_picture_of_its_report_is_shown_where_an_example_is_and_small(name: str) -> None:
    path = PAGE.parent / "images" / f"example-{name}.png"
    (part,) = (part for part in PAGE.read_text(encoding="utf-8").split("\n## ") if f"redoubt init {name} " in part)
    assert f"](images/{path.name})" in part
    assert path.stat().st_size <= LARGEST
    with Image.open(path) as picture:
        assert picture.width > 600
