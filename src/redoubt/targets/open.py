"""Opens whatever a target's name means: a folder, a file, a function, a model of a registry or a URL."""

from pathlib import Path

from redoubt.targets.contract import Opening, Target, TargetError

SCHEMES = ("http://", "https://")
REGISTRY = ("models:/", "runs:/", "mlflow-artifacts:/")
KNOWN = "a bundle folder, a .keras or .onnx file, package.module:function, models:/NAME@ALIAS, runs:/ID/PATH or a URL"
CONVERT = "keras.models.load_model('model.h5', compile=False).save('model.keras')"


def open_target(said: str, opening: Opening) -> Target:
    """Open what is named.

    Args:
        said: one of the kinds in `KNOWN`.
        opening: what the examples and the user tell of it.

    Raises:
        TargetError: it is nothing of that, or does not fit the examples.
    """
    path = Path(said)
    if said.startswith(SCHEMES) and opening.bundle is not None:
        from redoubt.targets.served_bundle import open_served

        return open_served(said, opening.bundle, opening)
    if said.startswith(SCHEMES):
        from redoubt.targets.url import open_url

        return open_url(said, opening)
    if said.startswith(REGISTRY) or (path / "MLmodel").is_file():
        from redoubt.targets.mlflow_model import open_mlflow

        return open_mlflow(said, opening)
    if path.is_dir():
        return _folder(said, opening)
    if path.is_file():
        return _file(said, opening)
    if ":" in said and "/" not in said:
        from redoubt.targets.function import open_function

        return open_function(said, opening)
    raise TargetError(f"'{said}' does not exist; give {KNOWN}")


def _folder(said: str, opening: Opening) -> Target:
    if (Path(said) / "saved_model.pb").is_file():
        raise TargetError(
            f"'{said}' is a SavedModel of TensorFlow; save the Keras model it came from, model.save('model.keras'), or"
            " convert it to ONNX: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx"
        )
    from redoubt.targets.bundle_folder import open_bundle

    return open_bundle(said, opening)


def _file(said: str, opening: Opening) -> Target:
    suffix = Path(said).suffix.lower()
    if suffix == ".keras":
        from redoubt.targets.keras_file import open_keras

        return open_keras(said, opening)
    if suffix == ".onnx":
        from redoubt.targets.onnx_file import open_onnx

        return open_onnx(said, opening)
    if said.lower().endswith(".weights.h5"):
        raise TargetError(f"'{said}' holds weights alone; save the model they belong to: model.save('model.keras')")
    if suffix in (".h5", ".hdf5"):
        raise TargetError(f"'{said}' is of Keras's older format; convert it: {CONVERT}")
    if suffix in (".pt", ".pth", ".pkl", ".joblib", ".pickle"):
        raise TargetError(
            f"'{said}' is a pickle, whose code would run; export the model to ONNX (torch.onnx.export, skl2onnx), or"
            " give a function of yours that calls it: package.module:function"
        )
    raise TargetError(f"'{said}' is no model that is known here; give {KNOWN}")
