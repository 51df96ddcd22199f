"""The same lock on two machines: one core or two, one build of zlib or another, other settings of BLAS and OpenMP."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from redoubt.core.store import write_json
from tests.support.checkout import Checkout
from tests.support.tiny import IMAGE, rows
from tests.support.unpinned import unpinned

# A quarter of a minute of work; a busy machine takes its time.
pytestmark = pytest.mark.timeout(1200)

# Settings, arrays as fetched and as split, a trained network, a figure: what a machine could make in another way.
STAGES = [
    "resolve@bars",
    "resolve_course@quick",
    "ingest@bars",
    "split@bars",
    "scale@bars",
    "train@bars",
    "study@estimators",
]
# What these read of stages that are left out for their time. The network is just large enough that TensorFlow splits
# its sums: without a number of threads of our own, other weights come of one thread, of two and of four.
GIVEN = {
    "validation.json": {},
    "selected.json": {
        "model": "cnn",
        "settings": {"kind": "cnn", "filters": [16], "units": [128]},
        "batch_size": 256,
        "learning_rate": 0.003,
        "validation_loss": 1.0,
    },
}
TASK = {
    "kind": "image",
    "source": "data/own/bars.npz",
    "target": "place",
    "split": {"folds": 2},
    "train": {"epochs": 2, "patience": 2},
}
# Imported by every Python of that environment: zlib and Pillow's own copy of it pack as another build would.
OTHER_ZLIB = """
import zlib
from PIL import Image, PngImagePlugin

compressobj, compress, save = zlib.compressobj, zlib.compress, PngImagePlugin._save

def packed(image, stream, name, **options):
    image.encoderinfo["compress_level"] = 1
    save(image, stream, name, **options)

zlib.compressobj = lambda level=-1, *others, **named: compressobj(1, *others, **named)
zlib.compress = lambda data, /, level=-1, **named: compress(data, 1, **named)
Image.register_save("PNG", packed)
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A project whose only task is a few small images, and the results of the stages that are not run."""
    folder = tmp_path_factory.mktemp("same") / "start"
    made = Checkout.of(project, folder)
    batch = rows(IMAGE, 480)
    np.savez(folder / "data/own/bars.npz", x=batch.x, y=batch.y)
    made.change(lambda params: params.update(run=["bars"], tasks={"bars": TASK}, studies={"estimators": {}}))
    for name, value in GIVEN.items():
        write_json(folder / "reports/bars" / name, value)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def lock_of(start: Path, name: str, cores: int, environment: dict[str, str]) -> str:
    """The lock that the stages leave when they run in a copy of the project with so many cores."""
    folder = start.with_name(name)
    shutil.copytree(start, folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    some = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        ["dvc", "repro", "--single-item", *STAGES],
        cwd=folder,
        env={**unpinned(), "PATH": path, "DVC_NO_ANALYTICS": "1", **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, some),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "dvc.lock").read_text()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
def test_cores_zlib_and_the_environment_change_no_byte(start: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(OTHER_ZLIB)
    packs = "import zlib; print(zlib.compress(bytes(range(256)) * 99).hex())"
    known = str(tmp_path)
    said = [
        subprocess.run(
            [sys.executable, "-c", packs], env={**os.environ, "PYTHONPATH": path}, capture_output=True
        ).stdout
        for path in ("", known)
    ]
    assert said[0] != said[1], "the other zlib is not used"
    wide = {"PYTHONPATH": "", "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "TF_NUM_INTRAOP_THREADS": "4"}
    one, two = lock_of(start, "one", 1, {"PYTHONPATH": known}), lock_of(start, "two", 2, wide)
    assert one.count("outs:") == len(STAGES)
    assert one == two
