"""Packs a bundle as a model of MLflow: `python -m serving.mlflow_model BUNDLE FOLDER`.

What `mlflow.pyfunc.load_model` and `mlflow models serve` need, and the bundle in it, byte by byte as it was. MLflow
itself is not needed here.
"""

import argparse
import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redoubt.bundle
from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, GuardedModel

# What the loader needs of this folder.
CARRIED = ("__init__.py", "guarded.py", "pyfunc.py")
NEEDED = ("numpy", "onnxruntime", "pydantic")


def pack(bundle: Path, folder: Path) -> None:
    """Write the model.

    Args:
        bundle: with its card.
        folder: must not exist.

    Raises:
        BundleError: the bundle is not whole or has no card, or the folder is there.
    """
    digest = GuardedModel.load(bundle).digest
    if not (bundle / "card.json").is_file():
        raise BundleError(f"{bundle} has no card.json, which says at which eps answers are certified")
    if folder.exists():
        raise BundleError(f"{folder} is there already; give a folder that is not, or remove it")
    (folder / "bundle").mkdir(parents=True)
    for name in (*BUNDLE_FILES, "card.json"):
        shutil.copyfile(bundle / name, folder / "bundle" / name)
    code = shutil.ignore_patterns("__pycache__")
    shutil.copytree(redoubt.bundle.__path__[0], folder / "code" / "redoubt" / "bundle", ignore=code)
    (folder / "code" / "serving").mkdir()
    for name in CARRIED:
        shutil.copyfile(Path(__file__).with_name(name), folder / "code" / "serving" / name)
    pins = "".join(f"{name}=={version(name)}\n" for name in NEEDED)
    (folder / "requirements.txt").write_text(pins, encoding="utf-8")
    python = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    # YAML takes JSON.
    (folder / "python_env.yaml").write_text(json.dumps(python), encoding="utf-8")
    (folder / "MLmodel").write_text(json.dumps(_described(digest), indent=2) + "\n", encoding="utf-8")


def _described(digest: str) -> dict[str, Any]:
    flavor = {
        "loader_module": "serving.pyfunc",
        "data": "bundle",
        "code": "code",
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": platform.python_version(),
    }
    # Without it MLflow would drop what a caller says by `params`.
    certify = [{"name": "certify", "type": "string", "default": "budget", "shape": None}]
    signature = {"inputs": None, "outputs": None, "params": json.dumps(certify)}
    return {"flavors": {"python_function": flavor}, "signature": signature, "metadata": {"redoubt.digest": digest}}


def main() -> None:
    """Pack the bundle that the command line names."""
    parser = argparse.ArgumentParser(description="Pack a bundle as a model of MLflow.")
    parser.add_argument("bundle", type=Path, help="such as zoo/mnist-certified or models/churn/champion")
    parser.add_argument("folder", type=Path, help="to be written")
    asked = parser.parse_args()
    try:
        pack(asked.bundle, asked.folder)
    except (BundleError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
