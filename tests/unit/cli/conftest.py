"""What somebody has on disk: networks of their own, rows, and rows that are no good."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support import tiny
from tests.support.tiny import IMAGE, NUMBER


@pytest.fixture(scope="session")
def desk(trained: Callable[[str], tiny.Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is no project."""
    folder, case = tmp_path_factory.mktemp("desk"), trained(IMAGE)
    x, y = case.test.x, case.test.y
    case.network.save(folder / "bars.keras")
    trained(NUMBER).network.save(folder / "price.keras")
    keras.Sequential([case.network, keras.layers.Softmax()]).save(folder / "softmax.keras")
    inputs = keras.Input((6, 6, 1))
    keras.Model(inputs, [case.network(inputs), case.network(inputs)]).save(folder / "two.keras")
    (folder / "broken.keras").write_text("no zip")
    (folder / "notes.txt").write_text("no network")
    bad = {
        "rows": {"x": x, "y": y},
        "labels": {"x": x, "y": np.where(y == 2, 3, y)},
        "halves": {"x": x, "y": y + 0.5},
        "words": {"x": x, "y": np.array(["top"] * len(y))},
        "columns": {"x": x, "y": y[:, None]},
        "nan": {"x": np.full_like(x, np.nan), "y": y},
        "bytes": {"x": (x * 255).astype(np.uint8), "y": y},
        "shape": {"x": x[:, :5], "y": y},
        "only-x": {"x": x},
        "objects": {"x": np.array([object()]), "y": y},
        "complex": {"x": x.astype(complex), "y": y},
        "none": {"x": x[:0], "y": y[:0]},
        "all-top": {"x": x[y == 0], "y": y[y == 0]},
        "price": {"x": trained(NUMBER).test.x, "y": trained(NUMBER).test.y},
    }
    for name, arrays in bad.items():
        np.savez(folder / f"{name}.npz", **arrays)
    np.save(folder / "array.npy", x)
    return folder
