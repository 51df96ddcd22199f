"""Runs in MLflow that say what the records say, each found by its content key."""

import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from redoubt.bundle.base.io import digest
from redoubt.bundle.batches import slices
from redoubt.core.store import read_json
from redoubt.runs import RunRecord, key
from redoubt.tracking.client import Metric, MlflowClient, MlflowException, Param, Run, someone_else_may_have
from redoubt.tracking.deadline import Progress
from redoubt.tracking.explain import NOT_MLFLOW
from redoubt.tracking.origin import EXPERIMENT, dataset, origin, provenance, seconds
from redoubt.tracking.redaction import shown
from redoubt.tracking.registry import register
from redoubt.tracking.uri import TrackingError, home

KEY = "redoubt.key"
CHECKOUT = "redoubt.checkout"
BEGUN = "redoubt.begun"
STAGE = "redoubt.stage"
DATA = "redoubt.data"
ERROR = "redoubt.error"
SUPERSEDED = "redoubt.superseded"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
SOURCE = "mlflow.source.name"

# The colours of the report; the UI would draw its own by chance.
COLOUR = "mlflow.runColor"
COLOURS = {"natural": "#c2410c", "adversarial": "#1d4ed8", "certified": "#15803d", "smoothed": "#7c3aed"}

PARAMS_AT_ONCE = 100
METRICS_AT_ONCE = 1000
# A run that another checkout has been logging for longer was given up.
GIVEN_UP_AFTER_MS = 3_600_000


class Mirror:
    """Writes records and champions into a store, as often as it is asked, and each once."""

    def __init__(self, root: Path, uri: str, client: MlflowClient, progress: Progress) -> None:
        self.root, self.uri, self.client, self.progress = root, uri, client, progress
        self._origin = origin(root)
        self._checkout = digest(f"{platform.node()}\n{home(root)}".encode())[:16]
        self._experiments: dict[str, str] = {}

    def experiment(self, task: str) -> str:
        """The id of a task's experiment, made before first use."""
        if task not in self._experiments:
            known = self.client.get_experiment_by_name(task)
            if known is None:
                # A server chooses for itself; a bare database would point to the current folder, wherever that is.
                folder = None if self.uri.startswith("http") else (home(self.root) / "mlartifacts" / task).as_uri()
                with someone_else_may_have():
                    self.client.create_experiment(task, artifact_location=folder)
            elif known.lifecycle_stage == "deleted":
                with someone_else_may_have():
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

    def keep(self, record: RunRecord, files: Iterable[Path]) -> tuple[str, bool]:
        """Mirror a record that takes nobody's place; return its run's id, and whether it had to be made.

        Args:
            record: of a run without children.
            files: to attach, from anywhere.
        """
        mark = key(record)
        same = [run for run in self._namesakes(record.task, record.run) if run.data.tags.get(KEY) == mark]
        for run in same:
            if run.info.status == "FINISHED":
                return str(run.info.run_id), False
            self._discard(run)
        tags = {**self._origin, SOURCE: f"redoubt {record.stage}", CHECKOUT: self._checkout, KEY: mark}
        made = self._open(record, tags, {})
        for path in files:
            self.client.log_artifact(made, str(path))
            self.progress.touch()
        self.client.set_terminated(made)
        return made, True

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
            f"attributes.run_name = '{card['model']}' and tags.digest = '{card.get('attacked', card['digest'])}'",
            order_by=["attributes.start_time DESC"],
        )
        run = trained[0].info.run_id if trained else None
        return bool(card["passed"]) and register(bundle, experiment, run, self.client)

    def _create(self, record: RunRecord, mark: str) -> str:
        data = provenance(self.root, record.task)
        tags = {**self._origin, CHECKOUT: self._checkout, BEGUN: str(int(time.time() * 1000))}
        if data:
            tags[DATA] = data["sha256"]
        parent = self._open(record, {**tags, KEY: mark}, seconds(self.root, record))
        if data:
            self.client.log_inputs(parent, [dataset(record.task, data)])
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
        for some in slices(len(params), PARAMS_AT_ONCE):
            self.client.log_batch(run, params=params[some])
        for some in slices(len(metrics), METRICS_AT_ONCE):
            self.client.log_batch(run, metrics=metrics[some])
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
