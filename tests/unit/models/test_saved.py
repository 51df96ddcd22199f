import hashlib
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from redoubt.models.saved import ARCHITECTURE, WEIGHTS, NetworkError, load_network, save_network
from tests.support.tiny import Case

# Trains a little as well, so that no order of variables and no draw is left to chance.
ELSEWHERE = """
import sys
from collections.abc import Callable
from pathlib import Path
from redoubt.training.determinism import make_deterministic
make_deterministic(20)
from redoubt.models.saved import save_network
from tests.support.tiny import train
save_network(train("image").network, Path(sys.argv[1]))
"""


def test_a_network_comes_back_exactly(case: Case, tmp_path: Path) -> None:
    save_network(case.network, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ARCHITECTURE, WEIGHTS])
    back = load_network(tmp_path)
    assert np.array_equal(back(case.test.x).numpy(), case.network(case.test.x).numpy())
    again = tmp_path / "again"
    again.mkdir()
    save_network(back, again)
    assert all((again / name).read_bytes() == (tmp_path / name).read_bytes() for name in (ARCHITECTURE, WEIGHTS))


@pytest.mark.timeout(240)
def test_two_processes_write_the_same_bytes(project: Path, tmp_path: Path) -> None:
    """Processes of their own, since Keras numbers the optimizers that one process makes."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(folder)],
            cwd=project,
            env={"PYTHONPATH": f"{project / 'src'}:{project}", "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=True,
            timeout=100,
        )
    for name in (ARCHITECTURE, WEIGHTS):
        digests = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in folders}
        assert len(digests) == 1, f"{name} differs"


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l"}, "registered_name": None}
HOSTILE = {
    "lambda": (LAMBDA, "holds keras.layers.Lambda; expected Keras's own Activation, "),
    "saved model": ({**LAMBDA, "class_name": "TFSMLayer"}, "holds keras.layers.TFSMLayer"),
    "file": ({**LAMBDA, "class_name": "StringLookup"}, "holds keras.layers.StringLookup"),
    "function": ({**LAMBDA, "module": "keras.utils", "class_name": "get_file"}, "holds keras.utils.get_file"),
    "module": ({**LAMBDA, "module": "os", "class_name": "system"}, "holds os.system"),
    "builtins": ({**LAMBDA, "module": "builtins", "class_name": "function"}, "holds builtins.function"),
    "registered": ({**LAMBDA, "class_name": "Dense", "registered_name": "own>Dense"}, "holds own>Dense.Dense"),
    "nested": ({**LAMBDA, "class_name": "Dense", "config": {"activation": LAMBDA}}, "holds keras.layers.Lambda"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_only_the_layers_known_here_are_made(tmp_path: Path, name: str) -> None:
    layer, says = HOSTILE[name]
    whole = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    (tmp_path / ARCHITECTURE).write_text(json.dumps(whole))
    with pytest.raises(NetworkError, match=f"^{tmp_path}/arch.json {says}"):
        load_network(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"class_name": 3}', b" " * (5 * 2**20)],
    ids=range(8),
)
def test_an_architecture_that_is_none_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ARCHITECTURE).write_bytes(content)
    with pytest.raises(NetworkError, match=f"^{tmp_path}/arch.json [^\n]*$"):
        load_network(tmp_path)


def test_weights_that_are_elsewhere_are_refused(case: Case, tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        save_network(case.network, tmp_path / name)
    with h5py.File(tmp_path / "bad" / WEIGHTS, "r+") as stored:
        (first,) = [name for name in stored if name == "layers"]
        layer = next(
            name for name in stored[first] if "vars" in stored[first][name] and len(stored[first][name]["vars"])
        )
        del stored[first][layer]["vars"]["0"]
        stored[first][layer]["vars"]["0"] = h5py.ExternalLink(
            str(tmp_path / "good" / WEIGHTS), f"/{first}/{layer}/vars/0"
        )
    load_network(tmp_path / "good")
    with pytest.raises(NetworkError, match=r"model.weights.h5 cannot be read \(ValueError: .*ExternalLink"):
        load_network(tmp_path / "bad")
    (tmp_path / "bad" / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(NetworkError, match=r"model.weights.h5 cannot be read \(OSError: [^\n]*$"):
        load_network(tmp_path / "bad")
