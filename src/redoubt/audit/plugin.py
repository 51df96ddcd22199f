"""The plugin of MLflow: `mlflow.models.evaluate(model, data, targets=..., evaluators="redoubt")`."""

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

from redoubt.core.errors import RedoubtError

OPTIONS = ("eps", "norm", "bounds", "budget", "repeats", "seed")


class RedoubtEvaluator(ModelEvaluator):
    """Audits a classifier, and logs its figures and its report to the run."""

    name = "redoubt"

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: dict[str, Any], **kwargs: Any) -> bool:
        """Whether the model gives classes."""
        return model_type in (None, "classifier")

    def evaluate(
        self,
        *,
        model_type: str | None,
        dataset: Any,
        run_id: str,
        evaluator_config: dict[str, Any],
        model: Any = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Audit the model by its scores or labels, as its pyfunc gives them.

        Args:
            model_type: `classifier`.
            dataset: features and labels.
            run_id: of the run that gets the figures.
            evaluator_config: `eps` (one or several), `norm`, `bounds`, `budget`, `repeats`, `seed`.
            model: the pyfunc model.
            kwargs: of no effect.

        Raises:
            RedoubtError: there is no model, or it cannot be audited.
        """
        if model is None:
            raise RedoubtError("evaluators='redoubt' needs a model, not predictions that were made before")
        unknown = sorted(set(evaluator_config) - set(OPTIONS))
        if unknown:
            raise RedoubtError(f"evaluator_config has no '{unknown[0]}'; expected {', '.join(OPTIONS)}")
        from redoubt.quiet import import_tensorflow

        import_tensorflow()
        return _audited(dataset, run_id, dict(evaluator_config), model)


def _audited(dataset: Any, run_id: str, config: dict[str, Any], model: Any) -> EvaluationResult:
    from redoubt.audit.arrays import audit_arrays
    from redoubt.audit.frame import frame_of
    from redoubt.audit.pages import write
    from redoubt.core.types import Batch

    features = dataset.features_data
    names = tuple(map(str, getattr(features, "columns", ())))
    x, y = np.asarray(features, np.float32), np.asarray(dataset.labels_data)
    labels, classes = np.unique(y, return_inverse=True)
    eps = config.pop("eps", ())
    sizes = tuple(eps) if isinstance(eps, list | tuple) else (float(eps),)
    numbered = classes if y.dtype.kind in "USO" else y
    named = tuple(map(str, labels)) if y.dtype.kind in "USO" else ()
    ask = _asker(model, features, names)
    outcome = audit_arrays(ask, x, numbered, eps=sizes, labels=named, features=names, **config)
    found = outcome.audit
    metrics = {"redoubt/clean_accuracy": found.clean.share, "redoubt/failed_checks": float(len(found.failed))}
    for row in found.rows:
        metrics[f"redoubt/robust_accuracy/{found.norm}_{row.eps:g}"] = row.robust.share
    with tempfile.TemporaryDirectory() as scratch:
        batch = Batch(x, np.asarray(numbered, np.int64))
        frame = frame_of(x, config.get("bounds"), names)
        write(Path(scratch), found, outcome, batch, frame, named)
        client = mlflow.MlflowClient()
        client.log_artifacts(run_id, scratch, "redoubt")
        for key, value in metrics.items():
            client.log_metric(run_id, key, value)
    return EvaluationResult(metrics=metrics, artifacts={}, run_id=run_id)


def _asker(model: Any, features: Any, names: tuple[str, ...]) -> Any:
    """The model on inputs as it had them: a table by its columns, and of their types."""
    if not names:
        return model.predict
    kinds = dict(features.dtypes)

    def ask(x: Any) -> Any:
        import pandas as pd

        table = pd.DataFrame(x, columns=list(features.columns))
        return model.predict(table.astype({name: kind for name, kind in kinds.items() if kind.kind == "f"}))

    return ask
