"""What the machine, the shell or another project has set does not change what comes out, nor stop it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import keras
import numpy as np
import pytest

from redoubt.cli import main
from redoubt.core import surroundings
from redoubt.core.errors import SurroundingsError
from redoubt.http import client
from redoubt.quiet import settle_keras

VARIABLES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
ATTACK = ["attack", "fgsm", "own.keras", "--data", "rows.npz", "--eps", "0.1", "--out", "found"]
# Then a network is built, by the settings of no one else.
SCRIPT = f"""
import os
os.umask(0o077)
from redoubt.cli import main
assert main({ATTACK}) == 0
import keras
from redoubt.bundle.schema import Schema
from redoubt.data.prepare.scaling import Scaler
from redoubt.models.networks import build
from redoubt.params.settings.networks import Cnn
import numpy as np
one = np.ones(1, np.float32)
schema = Schema(task="t", kind="image", target="y", shape=(8, 8, 1), labels=("a", "b"))
network = build(Cnn(kind="cnn", filters=(4, 4), units=(4,)), schema, Scaler(0 * one, one, 0 * one, one, 0.0, 1.0), 1)
print("built", network.dtype_policy.name, keras.config.floatx(), keras.config.image_data_format(), "R² ≤ 1")
"""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies and certificates."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def hostile(folder: Path) -> dict[str, str]:
    """All of it at once: Keras and Matplotlib of other projects, proxies, a narrow terminal, no home, no time zone."""
    (folder / "keras").mkdir()
    settings = {"backend": "torch", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (folder / "keras/keras.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "matplotlibrc.own").write_text(
        "text.usetex: True\nfont.size: 30\nsavefig.bbox: tight\n", encoding="utf-8"
    )
    return {
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(folder / "keras"),
        "MPLBACKEND": "module://of_a_notebook.backend",
        "MATPLOTLIBRC": str(folder / "matplotlibrc.own"),
        "ALL_PROXY": "socks://127.0.0.1:7891/",
        "NO_PROXY": "localhost,[::1]",
        "SSL_CERT_FILE": "/nowhere/ca.pem",
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "POSIX",
        "TZ": ":/none",
        "HOME": "/proc/none",
    }


def test_an_attack_comes_to_the_same_whatever_is_set(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "my own project"
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    x = np.random.default_rng(0).random((6, 8, 8, 1), np.float32)
    # Once: the file holds the second in which it was saved, and its digest is part of the record.
    network.save(tmp_path / "own.keras")
    for folder in (here, there):
        folder.mkdir()
        shutil.copy(tmp_path / "own.keras", folder)
        np.savez(folder / "rows.npz", x=x, y=np.arange(6) % 3)
    monkeypatch.chdir(here)
    assert main(ATTACK) == 0
    environment = {**os.environ, **hostile(tmp_path), "PYTHONPATH": f"{project / 'src'}{os.pathsep}{project}"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=there,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "built float32 float32 channels_last R2 <= 1"
    for name in ("record.json", "picture.png", "arrays.npz"):
        assert (there / "found" / name).read_bytes() == (here / "found" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("ascii", "R2 <= 1 - 'a' ?\n"), ("gbk", "R2 ≤ 1 – ‘a’ 猫\n"), ("utf-8", "R² ≤ 1 – ‘a’ 猫\n")],
)
def test_a_narrow_terminal_is_given_the_nearest_spelling(encoding: str, printed: str, project: Path) -> None:
    code = "import pipelines; print('R² ≤ 1 – ‘a’ 猫')"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, check=True)
    assert done.stdout.decode(encoding) == printed


@pytest.mark.parametrize("name", VARIABLES[:3])
@pytest.mark.parametrize("value", ["socks://127.0.0.1:7891/", "socks5://127.0.0.1:7891", "http://127.0.0.1:port"])
@pytest.mark.parametrize("spelling", [str.upper, str.lower])
def test_a_proxy_that_is_none_is_named_unless_this_machine_is_asked(
    name: str, value: str, spelling: type[str], bare: pytest.MonkeyPatch
) -> None:
    variable = spelling(name)
    bare.setenv(variable, value)
    client("http://127.0.0.1:9").close()
    with pytest.raises(SurroundingsError, match=f"^the variable {variable} of the environment is '{value}'"):
        client("https://example.org")


@pytest.mark.parametrize("value", ["localhost,[::1]", "fe80::/10"])
def test_exceptions_that_are_none_are_named(value: str, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("NO_PROXY", value)
    client("http://localhost:9").close()
    with pytest.raises(SurroundingsError, match="^the variable NO_PROXY .* IPv6 without brackets, or unset it$"):
        client("https://example.org")


def test_certificates_that_are_nowhere_are_named(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    client("http://127.0.0.1:9").close()
    for url in ("https://example.org", "https://127.0.0.1:9"):
        with pytest.raises(SurroundingsError, match="^the variable SSL_CERT_FILE .* name a file of certificates"):
            client(url)


def test_a_proxys_password_is_not_shown(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("HTTPS_PROXY", "socks://user:s3cret@127.0.0.1:1")
    with pytest.raises(SurroundingsError) as raised:
        client("https://example.org")
    assert "s3cret" not in str(raised.value)


def test_what_is_no_url_stays_that() -> None:
    with pytest.raises(httpx.InvalidURL):
        client("http://[::1")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", "127.0.0.1,localhost,::1"),
        ("example.org, localhost", "example.org,localhost,127.0.0.1,::1"),
        ("*", "*"),
    ],
)
def test_every_library_asks_this_machine_without_a_proxy(given: str, made: str, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("HTTP_PROXY", "http://proxy:3128")
    bare.setenv("NO_PROXY", given)
    bare.setenv("MPLBACKEND", "agg")
    bare.setenv("no_proxy", "")
    surroundings.settle()
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (made, made)


def test_another_backend_of_keras_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(SurroundingsError, match="backend jax; this project needs TensorFlow"):
        settle_keras()


def test_the_make_targets_clear_what_would_hide_the_project(project: Path) -> None:
    shown = subprocess.run(["make", "-n", "ui"], cwd=project, capture_output=True, text=True, check=True).stdout
    command = next(line for line in shown.splitlines() if line.endswith("python -m pipelines.ui"))
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONHOME": "/nowhere", "PIP_USER": "1"}
    done = subprocess.run(
        ["sh", "-c", command.replace("pipelines.ui", "pipelines.summary --help")],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in shown.splitlines():
        assert "python" not in line or " install " not in line or line.startswith("PIP_USER=0 PIP_TARGET= PIP_PREFIX=")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("attack --list", 0), ("attack", 2)])
def test_a_stream_that_is_closed(closed: str, words: str, status: int) -> None:
    line = f"exec {closed}; {sys.executable} -c 'from redoubt.cli import main; raise SystemExit(main())' {words}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
