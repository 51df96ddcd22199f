"""Runs in MLflow that say what the records say, each found by its content key."""

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from redoubt.bundle.base.io import digest
from redoubt.bundle.batches import slices
from redoubt.core.store import read_json
from redoubt.runs import RunRecord, key
from redoubt.tracking.client import Experiment, Metric, MlflowClient, MlflowException, Param, Run, someone_else_may_have
from redoubt.tracking.deadline import Progress
from redoubt.tracking.explain import NOT_MLFLOW
from redoubt.tracking.hashes import KEY, NAMES, hashes_of, joined, key_of
from redoubt.tracking.notes import OURS, experiment_note, run_note
from redoubt.tracking.origin import EXPERIMENT, dataset, origin, provenance, seconds
from redoubt.tracking.pictures import PICTURE, eps_curves
from redoubt.tracking.redaction import shown
from redoubt.tracking.registry import register
from redoubt.tracking.uri import TrackingError, home
from redoubt.tracking.views import SUPERSEDED, audit_views, views

# Who logs a run, and since when; gone once it is whole.
CHECKOUT = "redoubt.checkout"
BEGUN = "redoubt.begun"
STAGE = "redoubt.stage"
ERROR = "redoubt.error"
BY_LATER = "by a later result"
# Tags of runs of before that say in several places what is now in one, or only while they are logged.
FORMER = ("redoubt.data", CHECKOUT, BEGUN)
# What the gates judged is of validation rows and of all models in one run: by this it stands behind what was measured.
JUDGED = "validation/"
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
        same = [run for run in namesakes if key_of(run.data.tags) == mark]
        for run in same:
            if self._is_given_up(run):
                self._discard(run)
        kept, mine = self._keep_one(same), None
        if kept is None:
            mine = self._create(record, mark)
            # Another checkout may have logged the same meanwhile.
            others = self._namesakes(record.task, record.run)
            kept = self._keep_one(run for run in others if key_of(run.data.tags) == mark)
        if kept:
            self._say_as_today(kept, record, mark)
        self._supersede([run for run in namesakes if run not in same])
        return 1 + len(record.children) if kept and kept.info.run_id == mine else 0

    def keep(self, record: RunRecord, files: Iterable[Path]) -> tuple[str, bool]:
        """Mirror a record that takes nobody's place; return its run's id, and whether it had to be made.

        Args:
            record: of a run without children.
            files: to attach, from anywhere.
        """
        mark = key(record)
        same = [run for run in self._namesakes(record.task, record.run) if key_of(run.data.tags) == mark]
        for run in same:
            if run.info.status == "FINISHED":
                return str(run.info.run_id), False
            self._discard(run)
        said = {name: value for name, value in record.tags.items() if name not in NAMES}
        tags = {**said, **self._origin, SOURCE: f"redoubt {record.stage}", KEY: joined(mark, record.tags)}
        if "verdict" in said:
            tags[NOTE] = said["verdict"]
        made = self._open(record, tags, {})
        for path in files:
            self.client.log_artifact(made, str(path))
            self.progress.touch()
        self.client.set_terminated(made)
        known = self.client.get_experiment(self.experiment(record.task))
        self._tag(known, audit_views(known.creation_time))
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
        if not any(key_of(run.data.tags) == mark for run in self._namesakes(task, stage)):
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
        runs = reversed(self._namesakes(card["task"], card["model"]))
        attacked = card.get("attacked", card["digest"])
        run = next((run.info.run_id for run in runs if hashes_of(run.data.tags).get("digest") == attacked), None)
        return bool(card["passed"]) and register(bundle, experiment, run, self.client)

    def _create(self, record: RunRecord, mark: str) -> str:
        data = provenance(self.root, record.task)
        logged = {CHECKOUT: self._checkout, BEGUN: str(int(time.time() * 1000))}
        parent = self._open(record, {**self._words(record, mark), **logged}, seconds(self.root, record))
        if data:
            self.client.log_inputs(parent, [dataset(record.task, data)])
        for artifact in record.artifacts:
            self._attach(parent, record.task, artifact)
        if picture := eps_curves(record):
            self.client.log_image(parent, picture, PICTURE)
        for child in record.children:
            run = self._open(child, {**self._words(child, key(child)), PARENT: parent}, {})
            self.client.set_terminated(run)
        # Last, since a run that is not finished is taken for a half-logged one.
        self.client.set_terminated(parent)
        for tag in logged:
            self.client.delete_tag(parent, tag)
        return parent

    def _words(self, record: RunRecord, mark: str) -> dict[str, str]:
        """The tags of a run: words, and all hashes in one."""
        data = provenance(self.root, record.task)
        hashes = {**({"dataset": data["sha256"]} if data else {}), **record.tags}
        said = {name: value for name, value in record.tags.items() if name not in NAMES}
        note = run_note(self.root, record)
        return {
            **said,
            **self._origin,
            STAGE: record.stage,
            KEY: joined(mark, hashes),
            **({NOTE: note} if note else {}),
        }

    def _say_as_today(self, run: Run, record: RunRecord, mark: str) -> None:
        """Bring the tags of a run of before into line; a description stays, since somebody may have written it."""
        held, number = run.data.tags, run.info.run_id
        for name, value in self._words(record, mark).items():
            if name in (KEY, NOTE) and held.get(name) != value and not (name == NOTE and name in held):
                self.client.set_tag(number, name, value)
        for name in held.keys() & {SUPERSEDED, *NAMES, *FORMER}:
            self.client.delete_tag(number, name)

    def describe(self, task: str, records: Sequence[RunRecord]) -> None:
        """Say of an experiment what was found, and save the view of its runs that the links open."""
        known = self.client.get_experiment(self.experiment(task))
        wanted = views(records, known.creation_time)
        note = known.tags.get(NOTE, "")
        if not note or note.endswith(OURS):
            wanted[NOTE] = experiment_note(self.root, task, records)
        self._tag(known, wanted)

    def _tag(self, experiment: Experiment, wanted: Mapping[str, str]) -> None:
        for name, value in wanted.items():
            if experiment.tags.get(name) != value:
                self.client.set_experiment_tag(experiment.experiment_id, name, value)

    def _open(self, record: RunRecord, tags: Mapping[str, str], seconds: Mapping[str, float]) -> str:
        colour = {COLOUR: COLOURS[record.run]} if record.run in COLOURS else {}
        now = int(time.time() * 1000)
        # The UI's column Duration is what the stages took, not what writing it down takes.
        began = now - int(sum(seconds.values()) * 1000)
        run: str = self.client.create_run(
            self.experiment(record.task), began, {**tags, **colour}, record.run
        ).info.run_id
        params = [Param(name, str(value)) for name, value in record.params.items()]
        judged = JUDGED if record.stage == "promote" else ""
        found = {**{f"{judged}{name}": value for name, value in record.metrics.items()}, **seconds}
        metrics = [Metric(name, value, now, 0) for name, value in found.items()]
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

    def _supersede(self, older: list[Run]) -> None:
        # Runs of other DVC experiments stand beside this one; they are there to be compared with it.
        lineage = self._origin.get(EXPERIMENT, "")
        for run in older:
            if run.data.tags.get(EXPERIMENT, "") == lineage and SUPERSEDED not in run.data.tags:
                self.client.set_tag(run.info.run_id, SUPERSEDED, BY_LATER)
