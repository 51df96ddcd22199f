import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from redoubt.models.saved import ARCHITECTURE, WEIGHTS, load_network, save_network
from tests.tiny import Case

# Trains a little as well, so that no order of variables and no draw is left to chance.
ELSEWHERE = """
import sys
from pathlib import Path
from redoubt.training.setup import make_deterministic
make_deterministic(20)
from redoubt.models.saved import save_network
from tests.tiny import train
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


@pytest.mark.timeout(120)
def test_two_processes_write_the_same_bytes(project: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, str(folder)],
            cwd=project,
            env={"PYTHONPATH": f"{project / 'src'}:{project}", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        for folder in folders
    ]
    assert [run.wait(100) for run in runs] == [0, 0]
    for name in (ARCHITECTURE, WEIGHTS):
        digests = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in folders}
        assert len(digests) == 1, f"{name} differs"
