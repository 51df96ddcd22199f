"""The plugin of MLflow: a model is audited where it is evaluated, and its run gets the figures and the report."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

R = np.random.default_rng(0)
X = np.round(R.uniform(0, 100, (60, 2)), 2).astype(np.float32)
Y = (X[:, 0] > 50).astype(int)


def above(x: Any) -> np.ndarray:
    return 10.0 * np.stack([50 - np.asarray(x)[:, 0], np.asarray(x)[:, 0] - 50], axis=1)


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_an_evaluator_of_mlflow(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

    from redoubt.audit.plugin import RedoubtEvaluator

    _model_evaluation_registry.register("redoubt", RedoubtEvaluator)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("redoubt.audit.plan.MANY", 40)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}")
    try:
        table = pd.DataFrame(X.astype(float), columns=["age", "income"]).assign(old=Y)
        kept = mlflow.create_experiment("audits", artifact_location=str(tmp_path / "artifacts"))
        with mlflow.start_run(experiment_id=kept) as run:
            found = mlflow.models.evaluate(
                lambda rows: above(rows).argmax(axis=1),
                table,
                targets="old",
                model_type="classifier",
                evaluators="redoubt",
                evaluator_config={"eps": 0.2, "budget": "1m"},
            )
        files = {each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id, "redoubt")}
    finally:
        mlflow.set_tracking_uri(before)
    assert files == {"redoubt/audit.json", "redoubt/index.html", "redoubt/MODEL_CARD.md"}
    assert found.metrics["redoubt/clean_accuracy"] == 1.0
    assert 0.5 < found.metrics["redoubt/robust_accuracy/linf_0.2"] < 1.0
