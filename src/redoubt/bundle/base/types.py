"""The array and field types of a bundle's files."""

import re
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

Kind = Literal["regression", "classification", "image"]
Positive = Annotated[float, Field(gt=0.0, le=1e38, allow_inf_nan=False)]
# What float32 can hold, with room to compute.
Number = Annotated[float, Field(ge=-1e38, le=1e38, allow_inf_nan=False)]
GuardDraws = Annotated[int, Field(ge=1, le=64)]
# Which variants of a guard give its answer: all of them by their mean, or the squeezed or the plain input alone; the
# others then only serve its detector.
Vote = Literal["all", "squeezed", "plain"]

# Names become folders, parts of file names, words of addresses and MLflow's experiments.
NAME_RULE = (
    "a name is made of the letters a to z, digits, '-' and '_', begins with a letter or a digit"
    " and has at most 64 characters"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a text can be the name of a task, study, model or bundle; see `NAME_RULE`."""
    return _NAME.fullmatch(text) is not None


def _named(text: str) -> str:
    if not is_name(text):
        raise ValueError(NAME_RULE)
    return text


Name = Annotated[str, AfterValidator(_named)]
