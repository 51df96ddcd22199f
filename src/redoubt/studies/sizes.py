"""A study by its name, at the sizes that it is to be run at."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from redoubt.params.settings.base import Strict
from redoubt.quiet import settle_keras
from redoubt.studies.contract import Study, StudyError


def load_study(module: str) -> Study:
    """The study of a module, imported now: some need TensorFlow, which is slow to start."""
    study: Study = importlib.import_module(module).STUDY
    if "keras" in sys.modules:
        settle_keras()
    return study


def sizes_of(name: str, study: Study, changes: Mapping[str, Any]) -> Strict:
    """The sizes to run a study at: its own defaults, then what params.yaml changes.

    Args:
        name: of the study.
        study: whose type of sizes is filled.
        changes: sizes by name.

    Raises:
        StudyError: a size that the study has not, or a value that cannot be.
    """
    try:
        return study.sizes(**changes)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(study.sizes.model_fields) or "none"
        raise StudyError(f"params.yaml: studies.{name}: {key}: {first['msg']}; its sizes are: {known}") from None
