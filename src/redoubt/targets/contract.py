"""The contract of everything that can be attacked: scores, perhaps gradients, perhaps a network that has bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from redoubt.attacks.problem import Outputs, of_callable
from redoubt.bundle.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.errors import RedoubtError
from redoubt.types import Batch, Floats

Kind = Literal["bundle", "keras", "onnx", "callable", "mlflow", "http"]
# What an attacker gets to see, from most to least.
Access = Literal["gradients and bounds", "gradients", "scores", "labels"]


class TargetError(RedoubtError):
    """Nothing that can be attacked; the message says what came, what was expected and what to do."""


def nothing() -> None:
    """Let go of nothing."""


@dataclass(frozen=True, eq=False)
class Target:
    """A model of somebody's, seen through the access that it allows.

    Attributes:
        said: as it was named.
        kind: what it is.
        predict: inputs `(examples, ...)` in raw units to scores: logits `(examples, classes)`, logarithms of
            probabilities where the model gives those, 0 and far less where it gives labels alone; or values
            `(examples, 1)`. What the model itself says, by which every adversarial example is judged.
        width: scores per example: one per class, or 1 for a number.
        access: the strongest that it allows.
        shape: of one input, None where any size will do; None altogether where the model does not say.
        labels: names of the classes, where it has them.
        digest: SHA-256 of the content that is attacked; empty where nobody sees it.
        notes: what was done to the model or found in it that a reader must know, one sentence each.
        gradients: the same scores as differentiable graph code; None without that access.
        network: the scores as a Keras network, for bounds.
        guarded: of a bundle.
        schema: of its task, if it is known.
        folder: of a bundle.
        close: lets go of a connection.
    """

    said: str
    kind: Kind
    predict: Callable[[Floats], Floats]
    width: int
    access: Access
    shape: tuple[int | None, ...] | None = None
    labels: tuple[str, ...] = ()
    digest: str = ""
    notes: tuple[str, ...] = ()
    gradients: Outputs | None = None
    network: keras.Model | None = None
    guarded: GuardedModel | None = None
    schema: Schema | None = None
    folder: Path | None = None
    close: Callable[[], None] = nothing

    @property
    def is_classification(self) -> bool:
        """Whether the scores are those of classes; else a number."""
        return self.width > 1

    @property
    def outputs(self) -> Outputs:
        """What an attack is given: gradients where there are any, else queries."""
        return self.gradients or of_callable(self.predict, self.width)


@dataclass(frozen=True, eq=False)
class Opening:
    """What a model is opened with.

    Attributes:
        sample: a few of the examples, by whose answers unknown models are read.
        labels: names of the classes in the data, in the order of their numbers; empty of numbers.
        is_number: the user said that the model answers a number, not a class.
        trust: code of the model's own may run: a pickle, a custom flavour.
        protocol: of a URL; None asks it.
        model: its name at a URL that serves several.
        features: names of a table's columns.
        log: where the queries to a URL are kept, so that another run need not repeat them.
    """

    sample: Batch
    labels: tuple[str, ...] = ()
    is_number: bool = False
    trust: bool = False
    protocol: str | None = None
    model: str | None = None
    features: tuple[str, ...] = ()
    log: Path | None = None


def check_fits(said: str, shape: tuple[int | None, ...] | None, given: tuple[int, ...]) -> None:
    """Refuse examples of another shape than the model takes.

    Raises:
        TargetError: names both shapes.
    """
    if shape is None:
        return
    fits = len(shape) == len(given) and all(mine in (None, theirs) for mine, theirs in zip(shape, given, strict=True))
    if not fits:
        flat = len(shape) == 1 and shape[0] == int(np.prod(given))
        hint = ": flatten them, x.reshape(len(x), -1)" if flat else ""
        raise TargetError(f"the examples have shape {given}; {said} takes {shape}{hint}")
