"""The only module of the package that imports mlflow: its settings first, then the names that the mirror uses."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from alembic.util import CommandError
from google.protobuf.json_format import ParseError
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from redoubt.tracking.redaction import redact

# Read once, while mlflow is imported.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
for _name, _value in {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The defaults, 7 retries of 120 s each, let a server that never answers hold a pipeline for a quarter of an hour.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "PGCONNECT_TIMEOUT": "10",
}.items():
    os.environ.setdefault(_name, _value)

import mlflow.onnx  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param, Run  # noqa: E402
from mlflow.environment_variables import (  # noqa: E402
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model, ModelSignature  # noqa: E402
from mlflow.types import ColSpec, Schema, TensorSpec  # noqa: E402

__all__ = [
    "STORE_ERRORS",
    "ColSpec",
    "Dataset",
    "DatasetInput",
    "Experiment",
    "InputTag",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Model",
    "ModelSignature",
    "Param",
    "Run",
    "Schema",
    "TensorSpec",
    "connect",
    "mlflow",
    "seconds_of_all_tries",
    "someone_else_may_have",
]

STORE_ERRORS = (MlflowException, RequestException, SQLAlchemyError, CommandError, ParseError, ImportError, OSError)


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = redact(record.getMessage()), None, None
        return True


for _handler in logging.getLogger("mlflow").handlers:
    _handler.addFilter(_Redacting())
# What they log is in the error that follows, which says it in one sentence.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def connect(uri: str) -> MlflowClient:
    """The client of a store, which is also made the one that this process logs to."""
    _ask_once(uri)
    # Model.log knows no other way to be told.
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def someone_else_may_have() -> Iterator[None]:
    """Let it pass that another checkout was faster: the store is looked at again afterwards."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"):
            raise


def seconds_of_all_tries() -> int:
    """How long a request to a server may take in all, by MLflow's settings."""
    return int((MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() + 1) * MLFLOW_HTTP_REQUEST_TIMEOUT.get())


def _ask_once(uri: str) -> None:
    """Ask a database once: MLflow itself tries for minutes before it says that the password is wrong."""
    if not uri.startswith(("http", "sqlite")) and "://" in uri:
        engine = sqlalchemy.create_engine(uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
