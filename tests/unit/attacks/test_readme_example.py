"""The README's example, as written, on somebody's own model."""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from redoubt.attacks import PGD, problem_for
from redoubt.core.types import Batch
from tests.support.tiny import IMAGE, rows


@pytest.fixture(scope="module")
def own() -> tuple[keras.Model, Batch]:
    """Built, compiled and trained with Keras alone."""
    head = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), head])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train, test = rows(IMAGE, 256), rows(IMAGE, 64, seed=1)
    # Pale pictures, which so small a change can disguise.
    model.fit(train.x / 4, train.y, epochs=10, shuffle=False, verbose=0)
    return model, Batch(test.x / 4, test.y)


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md", "docs/attack.md"])
def test_the_readme_example(
    own: tuple[keras.Model, Batch], project: Path, readme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model, test = own
    blocks = re.findall(r"```python\n(.*?)```", (project / readme).read_text(encoding="utf-8"), re.DOTALL)
    example = next(block for block in blocks if "problem_for(model" in block)
    assert len(example.strip().splitlines()) <= 5
    # Pixels divided by 255 are float64, as they come.
    names: dict[str, Any] = {"np": np, "model": model, "x": test.x.astype(np.float64), "y": test.y}
    exec(example, names)
    clean, robust = (float(np.mean(model.predict(x, verbose=0).argmax(1) == test.y)) for x in (test.x, names["x_adv"]))
    assert robust < clean
    assert f"robust accuracy: {robust:.0%} of 64 images" in capsys.readouterr().out
    assert np.abs(names["x_adv"] - test.x).max() <= 0.1 + 1e-6


def test_bounds_are_the_models_own_units(own: tuple[keras.Model, Batch]) -> None:
    model, test = own
    wide = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Rescaling(1 / 255), model])
    x_adv = PGD(steps=5)(problem_for(wide, bounds=(0, 255)), 255 * test.x, test.y, eps=20, seed=0)
    assert 0 <= x_adv.min() <= x_adv.max() <= 255
    assert 19 < np.abs(x_adv - 255 * test.x).max() <= 20 * (1 + 1e-4)


def test_reversed_bounds_are_refused(own: tuple[keras.Model, Batch]) -> None:
    with pytest.raises(ValueError, match=r"bounds reversed: lower 1.0 is above upper 0.0"):
        problem_for(own[0], bounds=(1.0, 0.0))
