"""Tasks whose champion is the model that an alias of MLflow's registry names, wherever that moves."""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from uuid import uuid4

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.types import NAME_RULE, is_name
from redoubt.bundle.model.guarded_model import BUNDLE_FILES
from serving import registry
from serving.registry import Registry, Version

log = logging.getLogger("bentoml.redoubt")

VARIABLE = "REDOUBT_MLFLOW"
FORM = re.compile(r"models:/([^/@]+)@([^/@]+)")
NEEDED, ALONGSIDE = (*BUNDLE_FILES, "card.json"), ("example.json",)
# Seconds between two looks.
PERIOD = 10.0
# Per task: another process of the instance may still be loading the one before.
COPIES = 2


class Aliases:
    """Brings what the aliases name to a folder, version by version. Its methods may run in any thread, one at a time.

    Attributes:
        places: the bundle of each task, as of the last look that succeeded.
        problems: a sentence per task of which the last look did not.
    """

    def __init__(self, setting: str, uri: str, folder: Path) -> None:
        """Nothing is asked yet.

        Args:
            setting: `TASK=models:/NAME@ALIAS`, several with commas between them.
            uri: MLflow's tracking URI.
            folder: to bring the bundles to; the processes of one instance share it.
        """
        self.places, self.problems = dict[str, Path](), dict[str, str]()
        self.folder, self._uri, self._looked = folder, uri, 0.0
        self._wrong, self._models = dict[str, str](), dict[str, str]()
        for item in filter(None, map(str.strip, setting.split(","))):
            task, _, model = item.partition("=")
            if not is_name(task):
                self._wrong[task[:60]] = f"{VARIABLE} names a task of this name: {NAME_RULE}"
            elif not FORM.fullmatch(model):
                self._wrong[task] = f"{VARIABLE} says {model[:100]!r}; expected models:/NAME@ALIAS"
            else:
                self._models[task] = model

    def look(self, at_once: bool = False) -> None:
        """Bring what is new, unless the last look was a short while ago.

        Args:
            at_once: look in any case.
        """
        if not (self._models or self._wrong) or (self._looked and not at_once and self._is_recent()):
            return
        before, self.problems = self.problems, dict(self._wrong)
        for task, model in self._models.items():
            try:
                self.places[task] = self._brought(task, model)
            except (BundleError, OSError) as error:
                self.problems[task] = f"{model}: {error.strerror if isinstance(error, OSError) else error}"
            except (AttributeError, LookupError, TypeError):
                self.problems[task] = f"{model}: {registry.URI} names a server whose answers are not MLflow's"
        for task, why in self.problems.items():
            if before.get(task) != why:
                log.error("task %s: no other champion is taken from MLflow: %s", task, why)
        self._looked = monotonic()

    def _is_recent(self) -> bool:
        return monotonic() - self._looked < PERIOD

    def _brought(self, task: str, model: str) -> Path:
        found = FORM.fullmatch(model)
        assert found is not None  # noqa: S101
        store = registry.registry(self._uri)
        version = store.named(found[1], found[2])
        # The same number may be given again once a model was deleted.
        place = self.folder / task / f"{version.number}-{hashlib.sha256(version.artifacts.encode()).hexdigest()[:12]}"
        if not place.is_dir():
            self._bring(store, version, place)
        return place

    def _bring(self, store: Registry, version: Version, place: Path) -> None:
        paths = _paths(store.files(version), version)
        part = place.with_name(f".{uuid4().hex}.part")
        try:
            part.mkdir(parents=True)
            for name, path in paths.items():
                store.copy(version, path, part / name)
            # Another process may have been quicker.
            if not place.is_dir():
                part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for old in sorted(place.parent.glob("[!.]*"), key=lambda each: each.stat().st_mtime_ns)[:-COPIES]:
            shutil.rmtree(old, ignore_errors=True)


def of_environment(folder: Path) -> Aliases:
    """Those that the environment names."""
    return Aliases(os.environ.get(VARIABLE, ""), os.environ.get(registry.URI, ""), folder)


def _paths(files: list[str], version: Version) -> Mapping[str, str]:
    """Where each file of a bundle lies among a version's files, in whatever folder.

    Raises:
        BundleError: one is missing, or there are several of its name.
    """
    found: dict[str, list[str]] = {name: [] for name in (*NEEDED, *ALONGSIDE)}
    for path in files:
        found.get(path.rpartition("/")[2], []).append(path)
    missing = [name for name in NEEDED if not found[name]]
    if missing:
        raise BundleError(
            f"version {version.number} holds no whole bundle: {', '.join(missing)} missing: delete it,"
            " so that `python -m pipelines.record` registers it whole, or register what"
            " `python -m serving.mlflow_model` writes"
        )
    twice = [name for name, paths in found.items() if len(paths) > 1]
    if twice:
        raise BundleError(f"version {version.number} holds several files {', '.join(twice)}; expected one bundle")
    return {name: paths[0] for name, paths in found.items() if paths}
