"""A store that is ready at once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose tables are there already, to be copied: making them takes over a second."""
    from redoubt.tracking.client import mlflow
    from redoubt.tracking.sync import sync

    root = tmp_path_factory.mktemp("store")
    sync(root, f"sqlite:///{root / 'mlflow.db'}")
    # Otherwise this process goes on logging to it.
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")
    return root / "mlflow.db"
