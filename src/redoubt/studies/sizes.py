"""A study's sizes: its own defaults, then what params.yaml changes."""

from pydantic import ValidationError

from redoubt.params.base import Strict
from redoubt.params.load import Params
from redoubt.studies.contract import Study, StudyError


def sizes_of(name: str, study: Study, params: Params | None, *, full: bool) -> Strict:
    """The sizes to run a study at.

    Args:
        name: of the study.
        study: whose type of sizes is filled.
        params: of a project; None takes the study's own defaults.
        full: at full size.

    Raises:
        StudyError: params.yaml names a size that the study has not, or gives it a value that cannot be.
    """
    given = params.studies.get(name) if params else None
    values = {**given.quick, **(given.full if full else {})} if given else {}
    try:
        return study.sizes(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(study.sizes.model_fields) or "none"
        raise StudyError(f"params.yaml: studies.{name}: {key}: {first['msg']}; its sizes are: {known}") from None
