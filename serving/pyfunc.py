"""A bundle as MLflow loads it: `mlflow.pyfunc.load_model` gives the guarded answers of the service."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.base.types import Floats, Positive
from redoubt.bundle.model.entropy import Entropy
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from serving.guarded import NO_ANSWER, NO_ANSWER_SAYS, Asked, Certify


class Card(BaseModel):
    """What is read of the card: the L-inf eps of the threat."""

    model_config = ConfigDict(frozen=True)

    eps: Positive


class Guarded:
    """A guarded model with the one method that MLflow asks for."""

    def __init__(self, folder: Path) -> None:
        """Open a bundle.

        Raises:
            BundleError: it is not whole, or cannot be read.
        """
        self._model = GuardedModel.load(folder, threads=1, evaluates=False)
        self._eps = read_typed(folder / "card.json", Card).eps

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Answer inputs with fresh draws of the guard, all of them or none.

        Args:
            data: of a table a pandas data frame, records, or values by column; of images an array or nested lists,
                `(images, height, width[, channels])`, in [0, 1].
            params: `certify`, as the service has it.

        Returns:
            One object per input, as the service's `predictions`.

        Raises:
            InputError: an input does not fit, or has no finite answer; names its index.
        """
        certify: Certify = (params or {}).get("certify", "budget")
        if set(params or {}) - {"certify"} or certify not in get_args(Certify):
            raise InputError(
                f"params are {dict(params or {})!r}; expected certify, one of {', '.join(get_args(Certify))}"
            )
        schema, guard = self._model.schema, self._model.guard
        x = _images(data, schema) if schema.kind == "image" else schema.encode(_records(data))
        draws = guard.draw(Entropy(), len(x))
        rows = Asked(self._model, self._eps, certify).answer(x, draws) if len(x) else []
        if NO_ANSWER in rows:
            raise InputError(f"input {rows.index(NO_ANSWER)}: {NO_ANSWER_SAYS}")
        return [_plain(row) for row in rows]


def _load_pyfunc(path: str) -> Guarded:
    """What MLflow calls."""
    return Guarded(Path(path))


def _records(data: Any) -> list[dict[str, Any]]:
    if hasattr(data, "to_dict"):
        # An empty cell of a data frame is NaN, whatever its column holds.
        rows = data.to_dict("records")
        return [{name: None if _is_empty(value) else value for name, value in row.items()} for row in rows]
    if isinstance(data, Mapping):
        columns = {name: np.asarray(values, dtype=object).ravel().tolist() for name, values in data.items()}
        if len({len(values) for values in columns.values()}) != 1:
            raise InputError("the columns are of different lengths; expected one value per input in each")
        return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
        return [dict(row) for row in data]
    raise InputError(f"the inputs are {type(data).__name__}; expected a data frame, records, or values by column")


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _images(data: Any, schema: Schema) -> Floats:
    try:
        came = np.asarray(data)
        if came.dtype.kind not in "fiu":
            raise ValueError
    except ValueError:
        raise InputError("the images are no numbers, or of different shapes; expected an array of pixels") from None
    flat = schema.shape[:2] if schema.shape[2] == 1 else schema.shape
    if came.shape[1:] not in (schema.shape, flat):
        raise InputError(f"the images are of shape {list(came.shape)}; expected {['images', *schema.shape]}")
    inside = (came >= 0) & (came <= 1)
    if not inside.all():
        index = int(np.argwhere(~inside)[0][0])
        raise InputError(f"input {index}: a pixel is {came[~inside][0]}; expected numbers in [0, 1]")
    images: Floats = came.astype(np.float32).reshape(len(came), *schema.shape)
    return images


def _plain(value: Any) -> Any:
    """Without NumPy's numbers, which a data frame or JSON would write with digits that are not theirs."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    # By the shortest decimal that names it, as the service writes it.
    return float(str(value)) if isinstance(value, np.floating) else value
