"""A guarded champion as a version of a registered model."""

import importlib.metadata
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from redoubt.core.store import read_json
from redoubt.report.model_card import MODEL_CARD
from redoubt.tracking.client import (
    ColSpec,
    MlflowClient,
    Model,
    ModelSignature,
    Schema,
    TensorSpec,
    mlflow,
    someone_else_may_have,
)
from redoubt.tracking.uri import TrackingError

DIGEST = "redoubt.digest"
ALIAS = "champion"
HEADER = re.compile(r"\A---\n.*?^---\n+", re.DOTALL | re.MULTILINE)
# Characters that the store keeps of a description.
LONGEST = 5000
# Files of a bundle besides its graph.
BESIDE = ("[!.]*.json", "model.weights.h5", "proof.onnx")


def register(bundle: Path, experiment: str, run: str | None, client: MlflowClient) -> bool:
    """Make a bundle a version of the registered model `redoubt-TASK`, and let the alias `champion` name it.

    Args:
        bundle: folder with model.onnx, card.json and the rest.
        experiment: id of the task's experiment.
        run: id of the run that trained the model, if there is one.
        client: of the store.

    Returns:
        Whether a version was added; False if one with this digest was there.
    """
    card = read_json(bundle / "card.json")
    name = f"redoubt-{card['task']}"
    if not client.search_registered_models(f"name = '{name}'"):
        with someone_else_may_have():
            client.create_registered_model(name, description=f"Guarded champions of the task {card['task']}.")
    version = _version(client, name, card["digest"])
    new = version is None
    if version is None:
        model = _logged_model(client, experiment, card["digest"]) or _log_model(client, bundle, experiment, run)
        made = client.create_model_version(
            name, f"models:/{model}", run, tags=_card_tags(card), model_id=model, description=_description(bundle)
        )
        version = _version(client, name, card["digest"])
        # Another checkout registered the same bundle at the same time: the first of the two stays.
        if version is not None and version != int(made.version):
            new = False
            client.delete_model_version(name, made.version)
    # A store that an older version filled has none; what somebody wrote stays.
    if not client.get_model_version(name, str(version)).description:
        client.update_model_version(name, str(version), _description(bundle))
    if client.get_registered_model(name).aliases.get(ALIAS) != str(version):
        client.set_registered_model_alias(name, ALIAS, str(version))
    return new


def _description(bundle: Path) -> str:
    """The model card without its header for machines, as far as the store keeps it."""
    path = bundle / MODEL_CARD
    card = path.read_text(encoding="utf-8") if path.is_file() else ""
    return HEADER.sub("", card)[:LONGEST]


def _card_tags(card: Mapping[str, Any]) -> dict[str, str]:
    return {DIGEST: card["digest"], "redoubt.model": card["model"]}


def _version(client: MlflowClient, name: str, mark: str) -> int | None:
    """The first version of a registered model that holds the bundle with this digest."""
    found = client.search_model_versions(f"name = '{name}'")
    return min((int(version.version) for version in found if version.tags.get(DIGEST) == mark), default=None)


def _logged_model(client: MlflowClient, experiment: str, mark: str) -> str | None:
    """The id of the model that an earlier sync logged but was stopped before it could register it."""
    found = client.search_logged_models([experiment], f"tags.`{DIGEST}` = '{mark}'")
    return next((model.model_id for model in found if model.status == "READY"), None)


def _log_model(client: MlflowClient, bundle: Path, experiment: str, run: str | None) -> str:
    graph = onnx.load(str(bundle / "model.onnx"))
    # Left to itself, Model.log puts the model into whatever experiment the process last used.
    model = client.create_logged_model(
        experiment, name="model", source_run_id=run, tags=_card_tags(read_json(bundle / "card.json"))
    )
    Model.log(
        None,
        mlflow.onnx,
        run_id=run,
        model_id=model.model_id,
        onnx_model=graph,
        signature=ModelSignature(Schema(_specs(graph.graph.input)), Schema(_specs(graph.graph.output))),
        input_example=_example(graph),
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in ("numpy", "onnx", "onnxruntime")],
        onnx_execution_providers=["CPUExecutionProvider"],
        # With these it holds the whole bundle, so that a service can follow the alias.
        extra_files=[str(path) for pattern in BESIDE for path in sorted(bundle.glob(pattern))],
        save_as_external_data=False,
    )
    if mlflow.models.get_model_info(model.model_uri).signature is None:
        raise TrackingError(f"{model.model_uri}, logged from {bundle}, has no signature; MLflow dropped it")
    return str(model.model_id)


def _specs(values: Any) -> list[ColSpec | TensorSpec]:
    return [TensorSpec(_dtype(value), tuple(size or -1 for size in _shape(value)), value.name) for value in values]


def _example(graph: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    return {value.name: np.zeros([size or 1 for size in _shape(value)], _dtype(value)) for value in graph.graph.input}


def _dtype(value: onnx.ValueInfoProto) -> np.dtype[Any]:
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes, with 0 for one that is left open, such as the number of rows."""
    return [size.dim_value for size in value.type.tensor_type.shape.dim]
