"""What a study is: words, formulas and a function from data, sizes and a seed to numbers and pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from redoubt.core.errors import RedoubtError
from redoubt.params.settings.base import Strict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from redoubt.studies.given import Given

Cell = str | int | float
Doubles = NDArray[np.float64]


class StudyError(RedoubtError):
    """A study that cannot be run; the message names it and says what to do."""


@dataclass(frozen=True)
class Text:
    """The same words for English and for Chinese readers; a paragraph ends at an empty line."""

    en: str
    zh: str


@dataclass(frozen=True)
class Formula:
    """A line of mathematics.

    Attributes:
        tex: what matplotlib's mathtext understands of TeX, without dollar signs.
        says: what it says, in words.
    """

    tex: str
    says: Text


@dataclass(frozen=True)
class Table:
    """Numbers side by side, such as the course's beside ours.

    Attributes:
        caption: what it shows, units included.
        columns: heads.
        rows: cells as they are to be shown; a float is shown to four significant digits.
    """

    caption: Text
    columns: Sequence[Text]
    rows: Sequence[Sequence[Cell | Text]]


@dataclass(frozen=True)
class Picture:
    """A figure, without a title of its own, and what to see in it.

    Words inside the figure are short and English; `report/figure_words.py` has them in Chinese.
    """

    figure: "Figure"
    caption: Text


@dataclass(frozen=True)
class Lab:
    """Something to try on the page: sliders and a picture that is computed there.

    Attributes:
        kind: which of those in report/templates/course_labs.html.
        found: the study's own numbers that it computes with, as JSON holds them.
        says: what to try.
    """

    kind: Literal["cascade", "convolution", "descent", "fgsm", "gaussians", "lambda", "polynomial"]
    found: Mapping[str, Any]
    says: Text


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a study found.

    Attributes:
        origin: the data it was found on.
        numbers: every number that matters, by a name such as `test_error/degree_5`; MLflow shows them.
        tables: for readers.
        pictures: one or two, by file name without ending.
        takeaway: two sentences.
        lab: something to try, if there is.
    """

    origin: Text
    numbers: Mapping[str, float]
    tables: Sequence[Table]
    pictures: Mapping[str, Picture]
    takeaway: Text
    lab: Lab | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """An experiment of the course.

    Attributes:
        title: of its section.
        question: what is asked and how it is answered, one to three paragraphs.
        formulas: that it rests on.
        sizes: the type of its sizes in params.yaml; every field has the quick size as its default.
        run: the experiment; the same arguments give the same result.
    """

    title: Text
    question: Text
    formulas: Sequence[Formula]
    sizes: type[Strict]
    run: "Callable[[Given, Any, int], Result]" = field(repr=False)


def beside_the_course(real: bool) -> list[Text]:
    """The heads of a table of errors that sets a run beside the course's own.

    Args:
        real: whether the run is on the course's data, and not on stand-ins.
    """
    here = Text("here", "本次") if real else Text("stand-in", "替身数据")
    return [
        Text("course, training", "课程，训练"),
        Text("course, test", "课程，测试"),
        Text(f"{here.en}, training", f"{here.zh}，训练"),
        Text(f"{here.en}, test", f"{here.zh}，测试"),
        Text("test RMSE", "测试 RMSE"),
        Text("test MAE", "测试 MAE"),
    ]
