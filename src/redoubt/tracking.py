"""The only module that imports mlflow: mirrors what the stages recorded into runs found by content key.

DVC decides what is run, and may restore a result without running anything. So no stage logs to MLflow: it writes
records, and `sync` brings MLflow into line with them as often as it is called.
"""

import fcntl
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import sqlalchemy
from alembic.util import CommandError
from google.protobuf.json_format import ParseError
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from redoubt.bundle.io import digest
from redoubt.data.store import read_json
from redoubt.runs import RunRecord, key, read_records
from redoubt.tracking_errors import NOT_MLFLOW, explain
from redoubt.tracking_uri import TrackingError, check, home, redact, shown, store_uri

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
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run  # noqa: E402
from mlflow.environment_variables import (  # noqa: E402
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model, ModelSignature  # noqa: E402
from mlflow.types import ColSpec, Schema, TensorSpec  # noqa: E402

KEY = "redoubt.key"
CHECKOUT = "redoubt.checkout"
BEGUN = "redoubt.begun"
STAGE = "redoubt.stage"
DATA = "redoubt.data"
DIGEST = "redoubt.digest"
ERROR = "redoubt.error"
SUPERSEDED = "redoubt.superseded"
EXPERIMENT = "dvc.experiment"
PARENT = "mlflow.parentRunId"
COMMIT = "mlflow.source.git.commit"
NOTE = "mlflow.note.content"
ALIAS = "champion"
TRAINING_STAGES = ("train", "harden")

# The colours of the report; the UI would draw its own by chance.
COLOUR = "mlflow.runColor"
COLOURS = {"natural": "#c2410c", "adversarial": "#1d4ed8", "certified": "#15803d", "smoothed": "#7c3aed"}

PARAMS_AT_ONCE = 100
METRICS_AT_ONCE = 1000
LONGEST_ERROR = 5000
# No step of a sync may take longer, whatever keeps it.
PATIENCE = 300.0
# A run that another checkout has been logging for longer was given up.
GIVEN_UP_AFTER_MS = 3_600_000

STORE_ERRORS = (MlflowException, RequestException, SQLAlchemyError, CommandError, ParseError, ImportError, OSError)

T = TypeVar("T")


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args, record.exc_info = redact(record.getMessage()), None, None
        return True


for _handler in logging.getLogger("mlflow").handlers:
    _handler.addFilter(_Redacting())
# What they log is in the error that follows, which says it in one sentence.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Summary:
    """What a sync found and did.

    Attributes:
        uri: of the tracking store, without user, password and query.
        experiments: the experiment's id per task.
        runs: runs that the records amount to, children included.
        new: of these, how many were not there before.
        models: new versions of registered models.
        waiting: records left out, since a file that they name is missing: their stage is not done.
    """

    uri: str
    experiments: dict[str, str]
    runs: int
    new: int
    models: int
    waiting: int


def sync(root: Path, uri: str | None = None) -> Summary:
    """Bring MLflow into line with `reports/*/records` and `models/*/champion`.

    May be called at any time and as often as one likes: a run that is there is left alone, one that was half logged
    is replaced, and one that another has taken the place of is tagged so.

    Args:
        root: the project's top folder.
        uri: of the tracking store; by default that of `store_uri`.

    Raises:
        RunRecordError: a record that cannot be read, or two that disagree.
        TrackingError: the store cannot be used.
    """
    root, uri = root.resolve(), uri or store_uri(root)
    known = read_records(root)
    records = [record for record in known if all((root / artifact).exists() for artifact in record.artifacts)]
    champions = [path.parent for path in sorted(root.glob("models/*/champion/card.json"))]

    def work(progress: _Progress) -> Summary:
        with _mirror(root, uri, progress) as mirror:
            return Summary(
                uri=shown(uri),
                experiments={record.task: mirror.experiment(record.task) for record in records},
                runs=sum(1 + len(record.children) for record in records),
                new=sum(progress.count(mirror.record(record)) for record in records),
                models=sum(mirror.champion(folder) for folder in champions),
                waiting=len(known) - len(records),
            )

    return _bounded(work, uri, _Progress(len(records)))


def failed(task: str, stage: str, error: Exception) -> None:
    """Record that a stage failed, and why; the same failure again leaves the one record.

    Args:
        task: whose experiment shows it.
        stage: also the name of the run.
        error: its message becomes the run's description.

    Raises:
        TrackingError: the store cannot be used.
    """
    root, uri = Path.cwd(), store_uri(Path.cwd())
    reason = redact(f"{type(error).__name__}: {error}")[:LONGEST_ERROR]

    def work(progress: _Progress) -> None:
        with _mirror(root, uri, progress) as mirror:
            mirror.failure(task, stage, reason)

    _bounded(work, uri, _Progress(0))


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
        with _someone_else_may_have():
            client.create_registered_model(name, description=f"Guarded champions of the task {card['task']}.")
    version = _version(client, name, card["digest"])
    new = version is None
    if version is None:
        model = _logged_model(client, experiment, card["digest"]) or _log_model(client, bundle, experiment, run)
        made = client.create_model_version(name, f"models:/{model}", run, tags=_card_tags(card), model_id=model)
        version = _version(client, name, card["digest"])
        # Another checkout registered the same bundle at the same time: the first of the two stays.
        if version is not None and version != int(made.version):
            new = False
            client.delete_model_version(name, made.version)
    if client.get_registered_model(name).aliases.get(ALIAS) != str(version):
        client.set_registered_model_alias(name, ALIAS, str(version))
    return new


@dataclass
class _Progress:
    """How far a sync has come, for the one who waits for it."""

    total: int
    done: int = 0
    moment: float = field(default_factory=time.monotonic)

    def touch(self) -> None:
        self.moment = time.monotonic()

    def count(self, made: int) -> int:
        self.done += 1
        self.touch()
        return made


class _Mirror:
    def __init__(self, root: Path, uri: str, progress: _Progress) -> None:
        self.root, self.uri, self.progress = root, uri, progress
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._origin = _origin(root)
        self._checkout = digest(f"{platform.node()}\n{home(root)}".encode())[:16]
        self._experiments: dict[str, str] = {}

    def experiment(self, task: str) -> str:
        """The id of a task's experiment, made before first use."""
        if task not in self._experiments:
            known = self.client.get_experiment_by_name(task)
            if known is None:
                # A server chooses for itself; a bare database would point to the current folder, wherever that is.
                folder = None if self.uri.startswith("http") else (home(self.root) / "mlartifacts" / task).as_uri()
                with _someone_else_may_have():
                    self.client.create_experiment(task, artifact_location=folder)
            elif known.lifecycle_stage == "deleted":
                with _someone_else_may_have():
                    self.client.restore_experiment(known.experiment_id)
            known = self.client.get_experiment_by_name(task)
            if known is None or known.name != task:
                raise TrackingError(f"MLflow at {shown(self.uri)}: {NOT_MLFLOW}")
            self._experiments[task] = known.experiment_id
        return self._experiments[task]

    def record(self, record: RunRecord) -> int:
        """Mirror a record; return how many runs had to be made for it."""
        mark = key(record)
        namesakes = self._namesakes(record.task, record.run)
        same = [run for run in namesakes if run.data.tags.get(KEY) == mark]
        for run in same:
            if self._is_given_up(run):
                self._discard(run)
        kept, mine = self._keep_one(same), None
        if kept is None:
            mine = self._create(record, mark)
            # Another checkout may have logged the same meanwhile.
            kept = self._keep_one(run for run in self._namesakes(record.task, record.run) if run.data.tags[KEY] == mark)
        if kept and SUPERSEDED in kept.data.tags:
            self.client.delete_tag(kept.info.run_id, SUPERSEDED)
        self._supersede([run for run in namesakes if run not in same], mark)
        return 1 + len(record.children) if kept and kept.info.run_id == mine else 0

    def _is_given_up(self, run: Run) -> bool:
        """Whether a half-logged run is nobody's work in progress: of this checkout only one sync runs at a time."""
        begun = int(run.data.tags.get(BEGUN, 0))
        mine = run.data.tags.get(CHECKOUT, self._checkout) == self._checkout
        return run.info.status != "FINISHED" and (mine or time.time() * 1000 - begun > GIVEN_UP_AFTER_MS)

    def _keep_one(self, same: Iterable[Run]) -> Run | None:
        """Of whole runs with one content key keep the first: each checkout comes to the same, whoever looks last."""
        whole = sorted(
            (run for run in same if run.info.status == "FINISHED"), key=lambda run: (run.info.end_time, run.info.run_id)
        )
        for run in whole[1:]:
            self._discard(run)
        return whole[0] if whole else None

    def failure(self, task: str, stage: str, reason: str) -> None:
        """A run that says why there is no result."""
        mark = digest(f"{task}\n{stage}\n{reason}".encode())
        if not any(run.data.tags.get(KEY) == mark for run in self._namesakes(task, stage)):
            tags = {**self._origin, KEY: mark, STAGE: stage, ERROR: reason, NOTE: f"{stage} failed: {reason}"}
            run = self.client.create_run(self.experiment(task), tags=tags, run_name=stage)
            self.client.set_terminated(run.info.run_id, "FAILED")

    def _namesakes(self, task: str, name: str) -> list[Run]:
        found = self.client.search_runs(
            [self.experiment(task)], f"attributes.run_name = '{name}'", order_by=["attributes.start_time ASC"]
        )
        return [run for run in found if PARENT not in run.data.tags]

    def champion(self, bundle: Path) -> bool:
        """Register a bundle that passed the gates; return whether it was new."""
        card = read_json(bundle / "card.json")
        experiment = self.experiment(card["task"])
        # An incumbent that stayed in place was trained by a run of which there is no record any more.
        trained = self.client.search_runs(
            [experiment],
            f"attributes.run_name = '{card['model']}' and tags.digest = '{card['digest']}'",
            order_by=["attributes.start_time DESC"],
        )
        run = trained[0].info.run_id if trained else None
        return bool(card["passed"]) and register(bundle, experiment, run, self.client)

    def _create(self, record: RunRecord, mark: str) -> str:
        data = _provenance(self.root, record.task)
        tags = {**self._origin, CHECKOUT: self._checkout, BEGUN: str(int(time.time() * 1000))}
        if data:
            tags[DATA] = data["sha256"]
        parent = self._open(record, {**tags, KEY: mark}, _seconds(self.root, record))
        if data:
            self.client.log_inputs(parent, [_dataset(record.task, data)])
        for artifact in record.artifacts:
            self._attach(parent, record.task, artifact)
        for child in record.children:
            run = self._open(child, {**tags, KEY: key(child), PARENT: parent}, {})
            self.client.set_terminated(run)
        # Last, since a run that is not finished is taken for a half-logged one.
        self.client.set_terminated(parent)
        return parent

    def _open(self, record: RunRecord, tags: Mapping[str, str], seconds: Mapping[str, float]) -> str:
        colour = {COLOUR: COLOURS[record.run]} if record.run in COLOURS else {}
        tags = {**record.tags, **tags, **colour, STAGE: record.stage}
        now = int(time.time() * 1000)
        # The UI's column Duration is what the stages took, not what writing it down takes.
        began = now - int(sum(seconds.values()) * 1000)
        run: str = self.client.create_run(self.experiment(record.task), began, tags, record.run).info.run_id
        params = [Param(name, str(value)) for name, value in record.params.items()]
        metrics = [Metric(name, value, now, 0) for name, value in {**record.metrics, **seconds}.items()]
        metrics += [Metric(name, value, now, step) for name, points in record.curves.items() for step, value in points]
        for start in range(0, len(params), PARAMS_AT_ONCE):
            self.client.log_batch(run, params=params[start : start + PARAMS_AT_ONCE])
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            self.client.log_batch(run, metrics=metrics[start : start + METRICS_AT_ONCE])
        self.progress.touch()
        return run

    def _attach(self, run: str, task: str, artifact: str) -> None:
        own, folder = Path("reports", task), Path(artifact).parent
        inside = folder.relative_to(own) if folder.is_relative_to(own) else folder
        path = self.root / artifact
        if path.is_dir():
            self.client.log_artifacts(run, str(path), str(inside / path.name))
        else:
            self.client.log_artifact(run, str(path), None if inside == Path() else str(inside))
        self.progress.touch()

    def _discard(self, run: Run) -> None:
        for child in self.client.search_runs(
            [run.info.experiment_id], f"tags.`{PARENT}` = '{run.info.run_id}'", max_results=10_000
        ):
            self._delete(child.info.run_id)
        self._delete(run.info.run_id)

    def _delete(self, run: str) -> None:
        try:
            self.client.delete_run(run)
        except MlflowException:
            # Another checkout was first.
            if self.client.get_run(run).info.lifecycle_stage != "deleted":
                raise

    def _supersede(self, older: list[Run], mark: str) -> None:
        # Runs of other DVC experiments stand beside this one; they are there to be compared with it.
        lineage = self._origin.get(EXPERIMENT, "")
        for run in older:
            if run.data.tags.get(EXPERIMENT, "") == lineage and SUPERSEDED not in run.data.tags:
                self.client.set_tag(run.info.run_id, SUPERSEDED, mark)


def _bounded(work: Callable[[_Progress], T], uri: str, progress: _Progress) -> T:
    """Do work that asks the store, and give up on it once nothing has moved for `PATIENCE` seconds or all tries' time.

    In a thread, since nothing else ends a wait inside a database's driver or a name's resolution.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work(progress))
        except BaseException as error:
            errors.append(error)

    tries = MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() + 1
    patience = max(PATIENCE, tries * MLFLOW_HTTP_REQUEST_TIMEOUT.get())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive() and (left := progress.moment + patience - time.monotonic()) > 0:
        thread.join(left)
    if answers:
        return answers[0]
    if errors and not isinstance(errors[0], STORE_ERRORS):
        raise errors[0]
    trouble = explain(errors[0], uri) if errors else f"nothing has moved for {patience:.0f} s"
    recorded = f"; {progress.done} of {progress.total} runs recorded so far" if progress.total else ""
    # A new error rather than one raised from the store's own, whose traceback would show the secrets.
    raise TrackingError(f"MLflow at {shown(uri)}: {trouble}{recorded}")


@contextmanager
def _mirror(root: Path, uri: str, progress: _Progress) -> Iterator[_Mirror]:
    """One mirror at a time: two that create the same database or the same run would get in each other's way."""
    lock = home(root) / ".redoubt" / "tracking.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        check(uri)
        _connect(uri)
        # Model.log knows no other way to be told.
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        progress.touch()
        yield _Mirror(root, uri, progress)


def _connect(uri: str) -> None:
    """Ask a database once: MLflow itself tries for minutes before it says that the password is wrong."""
    if not uri.startswith(("http", "sqlite")) and "://" in uri:
        engine = sqlalchemy.create_engine(uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


@contextmanager
def _someone_else_may_have() -> Iterator[None]:
    """Let it pass that another checkout was faster: the store is looked at again afterwards."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"):
            raise


def _origin(root: Path) -> dict[str, str]:
    tags = {"mlflow.source.type": "PROJECT", "mlflow.source.name": "dvc repro"}
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)  # noqa: S607
    if git.returncode == 0:
        tags[COMMIT] = git.stdout.strip()
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags[EXPERIMENT] = experiment
    return tags


def _provenance(root: Path, task: str) -> dict[str, Any] | None:
    path = root / "data" / "raw" / task / "provenance.json"
    return read_json(path) if path.is_file() else None


def _dataset(task: str, data: Mapping[str, Any]) -> DatasetInput:
    dataset = Dataset(
        name=str(data["source"]),
        digest=data["sha256"][:36],
        source_type="local",
        source=json.dumps({"uri": f"data/raw/{task}"}),
        profile=json.dumps({"num_rows": data["rows"]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _seconds(root: Path, record: RunRecord) -> dict[str, float]:
    timings = root / "reports" / record.task / "timings"
    trained = timings / "training" / f"{record.run}.json"
    # `harden` makes several models and may have been resumed; a model's own training time says more.
    stages = [stage for stage in record.stages if not (trained.is_file() and stage in TRAINING_STAGES)]
    found = {"training": trained} | {stage: timings / f"{stage}.json" for stage in stages}
    return {f"seconds/{stage}": read_json(path)["seconds"] for stage, path in found.items() if path.is_file()}


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
        extra_files=[str(path) for path in sorted([*bundle.glob("[!.]*.json"), *bundle.glob("proof.onnx")])],
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
