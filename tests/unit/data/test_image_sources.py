"""Images of the user's own, as NPZ files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redoubt.data import sources
from redoubt.data.locate import SourceError
from redoubt.params.load import Params
from redoubt.params.task import Task


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def image_task(params: Params, **changes: Any) -> Task:
    return params.tasks["digits"].model_copy(update={"source": "own.npz"} | changes)


@pytest.mark.parametrize(
    ("x", "levels", "dtype"),
    [
        (np.full((3, 4, 5), 255, np.uint8), 255, np.uint8),
        (np.full((3, 4, 5, 3), 0.25, np.float64), 1, np.float32),
    ],
    ids=["grey-bytes", "color-floats"],
)
def test_images_of_the_users(params: Params, x: np.ndarray, levels: int, dtype: type) -> None:
    np.savez("own.npz", x=x, y=np.array(["cat", "ant", "cat"]))
    raw = sources.fetch(image_task(params), seed=1)
    stored, y = raw.images
    assert (stored.shape[:3], stored.dtype, raw.levels) == ((3, 4, 5), dtype, levels)
    assert (raw.schema.labels, y.tolist()) == (("ant", "cat"), [1, 0, 1])


def test_whole_number_classes_are_ordered_as_numbers(params: Params) -> None:
    np.savez("own.npz", x=np.zeros((3, 4, 5), np.uint8), y=np.array([10, 2, 10]))
    assert sources.fetch(image_task(params), seed=1).schema.labels == ("2", "10")


GREY = np.arange(0, 3 * 80, 4, np.uint8).reshape(3, 4, 5) + np.uint8(16)
LAYOUTS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "floats-to-255": ({"x": GREY.astype(np.float32), "y": np.arange(3)}, "type float32 from 16 to 252 are taken as"),
    "integers": ({"x": GREY.astype(np.int64), "y": np.arange(3)}, "type int64 from 16 to 252 are taken as 0 to 255"),
    "channel-first": ({"x": np.repeat(GREY, 2, 1)[:, None], "y": np.arange(3)}, "channels first"),
    "one-hot": ({"x": GREY, "y": np.eye(3)}, "one-hot classes of shape (3, 3) are taken as 0 to 2"),
    "column": ({"x": GREY, "y": np.arange(3)[:, None]}, "classes of shape (3, 1) are taken as one per image"),
    "byte-words": ({"x": GREY, "y": np.array([b"a", b"b", b"c"])}, ""),
    "other-names": ({"images": GREY, "labels": np.arange(3)}, "are read from 'images', 'labels'"),
    "parted": (
        {"x_train": GREY[:2], "y_train": np.arange(2), "x_test": GREY[2:], "y_test": np.array([2])},
        "'x_train', 'y_train' and 'x_test', 'y_test'; the latter are the test set",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_images_in_their_usual_layouts(params: Params, case: str) -> None:
    arrays, says = LAYOUTS[case]
    np.savez("own.npz", **arrays)
    raw = sources.fetch(image_task(params), seed=1)
    x, y = raw.images
    assert (x.dtype, raw.levels, y.tolist()) == (np.uint8, 255, [0, 1, 2])
    assert np.array_equal(x[:, :4, :5, 0], GREY) or case == "channel-first"
    assert x.shape[-1] == 1
    assert raw.test_from == (2 if case == "parted" else None)
    assert any(says in note for note in raw.survey.notes) or not says


BAD_IMAGES = {
    "no-y": ({"x": np.zeros((2, 4, 4), np.uint8)}, ["no array 'y'", "found x"]),
    "pickle": ({"x": np.array([object()]), "y": np.zeros(1)}, ["Python objects", "plain numbers"]),
    "flat": ({"x": np.zeros((2, 16), np.uint8), "y": np.zeros(2)}, ["shape (2, 16)", "(rows, height, width)"]),
    "few-channels-first": ({"x": np.zeros((2, 2, 32, 32), np.uint8), "y": np.zeros(2)}, ["shape (2, 2, 32, 32)"]),
    "signed": ({"x": np.linspace(-1, 1, 32).reshape(2, 4, 4), "y": np.zeros(2)}, ["spans [-1, 1]", "x = (x + 1) / 2"]),
    "standardized": ({"x": np.linspace(-2, 3, 32).reshape(2, 4, 4), "y": np.zeros(2)}, ["x = (x - -2) / (3 - -2)"]),
    "other-scale": ({"x": np.full((2, 4, 4), 16.0), "y": np.zeros(2)}, ["spans [16, 16]", "from 0 to 1"]),
    "nan": ({"x": np.full((2, 4, 4), np.nan), "y": np.zeros(2)}, ["from 0 to 1"]),
    "object-words": (
        {"x": np.zeros((2, 4, 4), np.uint8), "y": np.array(["a", "b"], object)},
        ["y = y.astype(str)", "np.savez('rows.npz', x=x, y=y)"],
    ),
    "words": ({"x": np.full((2, 4, 4), 3), "y": np.zeros(2)}, ["of type int64"]),
    "soft": (
        {"x": np.zeros((2, 4, 4), np.uint8), "y": np.full((2, 2), 0.5)},
        ["y has shape (2, 2)", "one class per image"],
    ),
    "fewer-classes": ({"x": np.zeros((2, 4, 4), np.uint8), "y": np.zeros(1)}, ["y has shape (1,)", "expected (2,)"]),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_images_that_cannot_be_used(params: Params, case: str) -> None:
    arrays, says = BAD_IMAGES[case]
    np.savez("own.npz", **arrays)
    with pytest.raises(SourceError) as error:
        sources.fetch(image_task(params), seed=1)
    for words in says:
        assert words in str(error.value)
