"""A model of an MLflow registry or run as a target, as its flavour allows; nothing is unpickled without being told."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from redoubt.core.types import Floats
from redoubt.targets.contract import Opening, Target, TargetError
from redoubt.targets.function import of_function

# Files that hold no code, by the flavour that writes them and where.
PLAIN = {"onnx": ".onnx", "keras": ".keras", "tensorflow": ".keras"}


def open_mlflow(said: str, opening: Opening) -> Target:
    """Open a model by its address in MLflow, or by the folder that holds its MLmodel file.

    Raises:
        TargetError: it is not there, or its code would run and that was not allowed.
    """
    folder = Path(said) if Path(said).is_dir() else _downloaded(said)
    flavours = _flavours(folder, said)
    for flavour, suffix in PLAIN.items():
        files = sorted(folder.rglob(f"*{suffix}")) if flavour in flavours else []
        if files:
            return replace(_plain(files[0], suffix, opening), said=said, kind="mlflow")
    if not opening.trust:
        own = ", ".join(sorted(flavours - {"python_function"})) or "python_function"
        raise TargetError(
            f"'{said}' is of flavour {own}, which runs code of its own when it is loaded (a pickle mostly): allow it"
            " with --trust"
        )
    target = of_function(_function(folder, flavours, opening, said), said, opening)
    return replace(target, kind="mlflow", notes=(*target.notes, "its code was loaded, as --trust allows"))


def _plain(file: Path, suffix: str, opening: Opening) -> Target:
    if suffix == ".onnx":
        from redoubt.targets.onnx_file import open_onnx

        return open_onnx(str(file), opening)
    from redoubt.targets.keras_file import open_keras

    return open_keras(str(file), opening)


def _downloaded(said: str) -> Path:
    from redoubt.tracking.client import mlflow

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=said))
    except Exception as error:
        told = " ".join(str(error).split())
        raise TargetError(f"'{said}' cannot be fetched from MLflow ({type(error).__name__}: {told[:200]})") from None


def _flavours(folder: Path, said: str) -> set[str]:
    from redoubt.tracking.client import Model

    try:
        return set(Model.load(str(folder)).flavors)
    except Exception as error:
        told = " ".join(str(error).split())
        raise TargetError(f"'{said}' is no MLflow model ({type(error).__name__}: {told[:200]})") from None


def _function(folder: Path, flavours: set[str], opening: Opening, said: str) -> Any:
    """What answers: scores where the model has them, else what its pyfunc says."""
    import pandas as pd

    from redoubt.tracking.client import MlflowException, mlflow

    try:
        if "sklearn" in flavours:
            model = mlflow.sklearn.load_model(str(folder))
            if hasattr(model, "predict_proba") and not opening.is_number:
                return model.predict_proba
        loaded = mlflow.pyfunc.load_model(str(folder))
    except Exception as error:
        told = " ".join(str(error).split())
        raise TargetError(f"'{said}' cannot be loaded ({type(error).__name__}: {told[:200]})") from None

    def ask(x: Floats) -> Any:
        named = x.ndim == 2 and bool(opening.features)
        given = pd.DataFrame(x, columns=list(opening.features)) if named else x
        with contextlib.suppress(MlflowException):
            return loaded.predict(given)
        # A signature in double precision takes no float32.
        return loaded.predict(given.astype(np.float64))

    return ask
