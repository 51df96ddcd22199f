"""Models as PyTorch, scikit-learn, XGBoost and LightGBM export them, each where its exporter is installed.

They are exported by a process of their own: PyTorch and TensorFlow do not share one. `EXPORTERS_PYTHON` names another
Python that has the packages of the extra `exports`.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from redoubt.core.types import Batch
from redoubt.models.onnx_graph import Graph
from redoubt.targets.contract import Opening, Target, TargetError
from redoubt.targets.open import open_target

PYTHON = os.environ.get("EXPORTERS_PYTHON", sys.executable)
DIGITS = load_digits()
X, Y = (DIGITS.images[..., None] / 16).astype(np.float32), DIGITS.target.astype(np.int64)
FLAT = X.reshape(len(X), -1)
LABELS = tuple("0123456789")
START = """
import numpy as np
from sklearn.datasets import load_digits
digits = load_digits()
x, y = (digits.data / 16).astype(np.float32), digits.target
def keep(name, model, answers):
    if model is not None:
        open(name + ".onnx", "wb").write(model.SerializeToString())
    np.save(name + ".npy", np.asarray(answers))
"""
PYTORCH = """
import torch
from torch import nn
torch.manual_seed(0)
images = torch.tensor(x.reshape(-1, 1, 8, 8))
front = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2)]
networks = {
    "cnn": nn.Sequential(*front, nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, 10)),
    "mlp": nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 10)),
    "softmax": nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1)),
}
ways = {
    "default": {},
    "any": {"dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)},
    "legacy": {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}},
}
for name, network in networks.items():
    network.eval()
    for way, options in ways.items():
        torch.onnx.export(network, (images[: 1 if way != "any" else 2],), f"{name}-{way}.onnx", **options)
        keep(f"{name}-{way}", None, network(images).detach().argmax(1))
"""
SKLEARN = """
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=50))
for name, model in {"linear": linear, "forest": RandomForestClassifier(5, random_state=0)}.items():
    model.fit(x, y)
    keep(name, to_onnx(model, x[:1]), model.predict(x))
"""
TREES = """
import onnxmltools, {package}
from onnxmltools.convert.common.data_types import FloatTensorType
model = {package}.{kind}(n_estimators=3, max_depth=3).fit(x, y)
convert = onnxmltools.convert_{package}
keep("trees", convert(model, initial_types=[("x", FloatTensorType([None, 64]))]), model.predict(x))
"""


def export(script: str, needs: tuple[str, ...], folder: Path) -> Path:
    """The folder with what the script exports."""
    for package in needs:
        if subprocess.run(
            [PYTHON, "-c", f"import importlib.util as u; exit(u.find_spec('{package}') is None)"]
        ).returncode:
            pytest.skip(f"{package} is not installed: pip install 'redoubt[exports]'")
    done = subprocess.run([PYTHON, "-c", START + script], cwd=folder, env={"PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def check(folder: Path, name: str, x: np.ndarray, access: str) -> Target:
    found = open_target(str(folder / f"{name}.onnx"), Opening(Batch(x[:8], Y[:8]), LABELS))
    assert found.access == access, found.notes
    assert found.width == 10
    assert np.mean(found.predict(x).argmax(axis=1) == np.load(folder / f"{name}.npy")) > 0.99
    return found


@pytest.fixture(scope="module")
def of_pytorch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(PYTORCH, ("torch", "onnxscript"), tmp_path_factory.mktemp("pytorch"))


@pytest.mark.parametrize("way", ["default", "any", "legacy"])
@pytest.mark.parametrize("name", ["cnn", "mlp", "softmax"])
def test_pytorch(name: str, way: str, of_pytorch: Path) -> None:
    # GELU and LayerNormalization have no bounds here.
    access = "gradients" if name == "mlp" else "gradients and bounds"
    found = check(of_pytorch, f"{name}-{way}", X, access)
    assert "channels first" in " ".join(found.notes)
    assert ("softmax was unwrapped" in " ".join(found.notes)) == (name == "softmax")


def test_scikit_learn(tmp_path: Path) -> None:
    folder = export(SKLEARN, ("skl2onnx",), tmp_path)
    check(folder, "linear", FLAT, "gradients and bounds")
    check(folder, "forest", FLAT, "scores")


@pytest.mark.parametrize(("package", "kind"), [("xgboost", "XGBClassifier"), ("lightgbm", "LGBMClassifier")])
def test_trees(package: str, kind: str, tmp_path: Path) -> None:
    script = TREES.format(package=package, kind=kind)
    check(export(script, (package, "onnxmltools"), tmp_path), "trees", FLAT, "scores")


def test_a_graph_of_one_example_has_gradients_of_many(tmp_path: Path) -> None:
    """As PyTorch exports by default: the first side of every shape is that of the one example it was shown."""
    graph = Graph()
    flat = graph.node("Reshape", "x", graph.constant(np.array([1, 64], np.int64)))
    weights = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
    output = graph.node("MatMul", flat, graph.constant(weights))
    (tmp_path / "m.onnx").write_bytes(graph.build({"x": (1, 8, 8, 1)}, {"y": (output, (1, 10))}))
    np.save(tmp_path / "m.npy", (FLAT @ weights).argmax(axis=1))
    check(tmp_path, "m", X, "gradients and bounds")


def keras_models() -> dict[str, tuple[keras.Model, np.ndarray]]:
    layers = keras.layers
    cnn = [layers.Rescaling(2.0), layers.Conv2D(8, 3, padding="same", activation="relu"), layers.BatchNormalization()]
    cnn += [layers.MaxPooling2D(), layers.Conv2D(8, 3, strides=2, activation="relu"), layers.Flatten()]
    mlp = [layers.Rescaling(2.0, offset=-1.0), layers.Dense(16, activation="relu"), layers.Dropout(0.3)]
    return {
        "cnn": (keras.Sequential([layers.Input((8, 8, 1)), *cnn, layers.Dense(10, activation="softmax")]), X),
        "mlp": (keras.Sequential([layers.Input((64,)), *mlp, layers.Dense(10)]), FLAT),
    }


@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_keras_s_own_export(name: str, tmp_path: Path) -> None:
    network, x = keras_models()[name]
    # Its exporter wants a model that was called.
    expected = network(x).numpy().argmax(axis=1)
    network.export(str(tmp_path / f"{name}.onnx"), format="onnx", verbose=False)
    np.save(tmp_path / f"{name}.npy", expected)
    check(tmp_path, name, x, "gradients and bounds")


@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_what_keras_s_exporter_leaves_out(tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((64,)), keras.layers.Normalization(mean=0.5, variance=0.1)])
    network.add(keras.layers.Dense(10))
    network(FLAT[:1])
    network.export(str(tmp_path / "m.onnx"), format="onnx", verbose=False)
    with pytest.raises(TargetError, match="left the constants of a Normalization layer out; audit the .keras file"):
        open_target(str(tmp_path / "m.onnx"), Opening(Batch(FLAT[:8], Y[:8]), LABELS))
