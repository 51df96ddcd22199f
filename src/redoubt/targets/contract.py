"""The contract of everything that can be attacked: scores, perhaps gradients, perhaps a network that has bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.problem import Outputs, of_callable
from redoubt.attacks.query import Oracle
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.core.types import PIXELS, Batch, Bounds, Floats

# Of the examples, how many an unknown model's answers are read by, and of how many classes one more.
SAMPLE = 8

Kind = Literal["bundle", "keras", "onnx", "callable", "mlflow", "http"]
# From bounds and a criterion to a function of examples and eps: which of them are proven; see `certify.worst_case`.
Certifier = Callable[[Bounds, Criterion], Callable[[Batch, float], NDArray[np.bool_]]]
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
        network: the scores as a Keras network, where it is one.
        certifier: by bounds, where all of it has them.
        guarded: of a bundle.
        schema: of its task, if it is known.
        folder: of a bundle, also of one that a service serves.
        bounds: the box inputs live in and the unit of eps, where it is known; may be too narrow for some examples.
        whole: its inputs are cast to whole numbers: a perturbation of less than 1 would be another input than it seems.
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
    certifier: Certifier | None = None
    guarded: GuardedModel | None = None
    schema: Schema | None = None
    folder: Path | None = None
    bounds: Bounds = PIXELS
    whole: bool = False
    close: Callable[[], None] = nothing

    @property
    def is_classification(self) -> bool:
        """Whether the scores are those of classes; else a number."""
        return self.width > 1

    @property
    def task(self) -> str | None:
        """That it was made for, if it says so."""
        return None if self.schema is None else self.schema.task

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of a table's network inputs, if they are known."""
        return () if self.schema is None else tuple(self.schema.input_names)

    @property
    def oracle(self) -> Oracle | None:
        """What counts its answers, if anybody does."""
        return self.predict if isinstance(self.predict, Oracle) else None

    @property
    def outputs(self) -> Outputs:
        """What an attack is given: gradients where there are any, else queries."""
        return self.gradients or of_callable(self.predict, self.width)


@dataclass(frozen=True, eq=False)
class Opening:
    """What a model is opened with.

    Attributes:
        sample: a few of the examples, see `a_few`, by whose answers unknown models are read; only a model that tells
            its own shape can do without.
        labels: names of the classes in the data, in the order of their numbers; empty of numbers.
        is_number: the user said that the model answers a number, not a class.
        trust: code of the model's own may run: a pickle, a custom flavour.
        protocol: of a URL; None asks it.
        model: its name at a URL that serves several.
        features: names of a table's columns.
        log: where the queries to a URL are kept, so that another run need not repeat them.
        bundle: folder of the bundle that a URL serves, where it is known.
        rate: requests per second to a URL at most; None sets no limit.
    """

    sample: Batch | None = None
    labels: tuple[str, ...] = ()
    is_number: bool = False
    trust: bool = False
    protocol: str | None = None
    model: str | None = None
    features: tuple[str, ...] = ()
    log: Path | None = None
    bundle: Path | None = None
    rate: float | None = None

    @property
    def examples(self) -> Batch:
        """The sample, for a model that needs one.

        Raises:
            TargetError: there is none.
        """
        if self.sample is None:
            raise TargetError("the model is read by its answers to examples: give some with --data")
        return self.sample


def a_few(batch: Batch) -> Batch:
    """The first examples, and the first of every class where there are so many."""
    _, first = np.unique(batch.y, return_index=True)
    return batch.take(np.unique(np.concatenate([np.arange(min(SAMPLE, len(batch))), first[:SAMPLE]])))


def check_whole(said: str, x: Floats) -> None:
    """Refuse examples that a model of whole numbers would cut off.

    Raises:
        TargetError: names the first such value.
    """
    broken = x[np.isfinite(x) & (x != np.round(x))]
    if broken.size:
        raise TargetError(
            f"{said} casts its inputs to whole numbers, and the examples hold {broken[0]:g}: bring them to the whole"
            " numbers that it takes, such as bytes 0..255"
        )


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
        if shape == (*given, 1):
            hint = ": give them a channel, x[..., None]"
        elif (*shape, 1) == given:
            hint = ": leave out their channel, x[..., 0]"
        raise TargetError(f"the examples have shape {given}; {said} takes {shape}{hint}")
