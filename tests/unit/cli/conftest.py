"""What somebody has on disk: networks of their own, rows, and rows that are no good."""

import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from redoubt.cli import main
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


@pytest.fixture
def top(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's top folder, with its params.yaml alone."""
    shutil.copy(project / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(top: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What init says of a file that it takes; what it says of one that it refuses, in one sentence."""

    def say(name: str, make: Callable[[Path], object], *words: str, status: int = 0) -> str:
        make(Path(name))
        assert main(["init", "own", name, *words, "--yes"]) == status
        printed = capsys.readouterr()
        if status:
            assert printed.err.count("\n") == 1, printed.err
            return printed.err
        # Reasons stand on a line of their own in the block, as they do over several in the table.
        return printed.out

    return say
