"""Reads what an unknown model answers, as logits: scores, probabilities, one probability, or labels alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import ROUNDED
from redoubt.attacks.query import log_scores
from redoubt.bundle.words import meant
from redoubt.core.types import Floats
from redoubt.targets.contract import Opening, TargetError

Form = Literal["logits", "probabilities", "probability", "decision", "labels", "value"]
SAYS: dict[Form, str] = {
    "logits": "",
    "probabilities": "its probabilities are read as logits by their logarithm",
    "probability": "its one probability is read as two logits, of the first class and of the second",
    "decision": "its one score is read as two logits: 0, and the score",
    "labels": "it gives labels alone",
    "value": "",
}


@dataclass(frozen=True)
class Reading:
    """How a model's answers become scores.

    Attributes:
        form: what the answers are.
        width: scores per example.
        labels: the classes' names or numbers as the model writes them, in order; empty where they are numbers.
        names: of the classes of the data, by which dictionaries of scores are put in order.
    """

    form: Form
    width: int
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __call__(self, answers: Any, examples: int) -> Floats:
        """Scores `(examples, width)`.

        Raises:
            TargetError: as many answers as examples were expected, each like the first.
        """
        found = _array(answers, self.names)
        if found.shape[:1] != (examples,):
            raise TargetError(f"{examples} examples got answers of shape {found.shape}; expected one answer each")
        if self.form == "labels":
            return log_scores(np.eye(self.width, dtype=np.float32)[self._numbers(found.reshape(-1))])
        scores: Floats = found.astype(np.float32).reshape(examples, -1)
        if self.form in ("probability", "decision"):
            one = scores[:, 0]
            if self.form == "decision":
                return np.stack([np.zeros_like(one), one], axis=1)
            scores = np.stack([np.float32(1) - one, one], axis=1)
        if scores.shape[1] != self.width:
            raise TargetError(f"answers of shape {found.shape} came after ones of {self.width} scores each")
        return log_scores(scores) if self.form in ("probability", "probabilities") else scores

    def _numbers(self, found: NDArray[Any]) -> NDArray[np.int64]:
        if found.dtype.kind in "USO":
            names = [str(each) for each in found]
            labels = {name: meant(name, self.labels) for name in set(names)}
            unknown = sorted(name for name, label in labels.items() if label is None)
            if unknown:
                raise TargetError(
                    f"the model answers '{unknown[0][:100]}'; the classes of the data are"
                    f" {', '.join(self.labels[:20])}: name both alike"
                )
            return np.array([self.labels.index(str(labels[name])) for name in names], np.int64)
        numbers = found.astype(np.int64)
        if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= self.width:
            wrong = numbers.min() if numbers.min() < 0 else numbers.max()
            raise TargetError(f"the model answers class {wrong}; the data have 0..{self.width - 1}: number both from 0")
        return numbers


def asking(ask: Callable[[Floats], Any], reading: Reading) -> Callable[[Floats], Floats]:
    """A function from inputs to scores; of no inputs, which many models cannot be asked about, there are none."""
    return lambda x: reading(ask(x), len(x)) if len(x) else np.zeros((0, reading.width), np.float32)


def read_answers(ask: Callable[[Floats], Any], opening: Opening, said: str) -> Reading:
    """Decide, by its answers to a few examples, what a model's answers are.

    Args:
        ask: the model.
        opening: the examples, their classes, and whether a number was announced.
        said: what messages call the model.

    Raises:
        TargetError: answers that are neither scores nor labels.
    """
    x = opening.examples.x
    answers = ask(x)
    reading = replace(_form(answers, opening, said), names=opening.labels)
    # Whether each answer is one that it expects.
    reading(answers, len(x))
    return reading


def _form(answers: Any, opening: Opening, said: str) -> Reading:
    x, found = opening.examples.x, _array(answers, opening.labels)
    if not found.ndim:
        raise TargetError(f"{said} answers {type(answers).__name__} to {len(x)} examples; expected an array of answers")
    if found.shape[:1] != (len(x),) or found.ndim > 2:
        raise TargetError(
            f"{said} answers shape {found.shape} to {len(x)} examples; expected (examples, classes) or (examples,)"
        )
    classes = len(opening.labels)
    if found.dtype.kind in "USOb" or (found.dtype.kind in "iu" and found.size == len(x)):
        return Reading("labels", max(classes, 2), opening.labels)
    if found.dtype.kind not in "fiu":
        raise TargetError(f"{said} answers {found.dtype}; expected numbers or labels")
    if not np.isfinite(found).all():
        raise TargetError(f"{said} answers NaN or infinity to clean examples")
    if found.size == len(x):
        return _of_one(found.reshape(-1).astype(float), opening)
    width = found.shape[1]
    if classes > width:
        raise TargetError(f"{said} answers {width} scores; the data have {classes} classes")
    if (found >= -ROUNDED).all() and np.allclose(found.astype(float).sum(axis=1), 1.0, atol=ROUNDED):
        return Reading("probabilities", width)
    return Reading("logits", width)


def _of_one(found: NDArray[Any], opening: Opening) -> Reading:
    """One number per example: a value, a label written as one, a probability, or a score."""
    if opening.is_number:
        return Reading("value", 1)
    if np.all(found == np.round(found)) and found.min() >= 0:
        return Reading("labels", max(len(opening.labels), 2), opening.labels)
    if len(opening.labels) > 2:
        raise TargetError(
            f"the model answers one number per example; the data have {len(opening.labels)} classes: give a score per"
            " class, or labels"
        )
    return Reading("probability" if found.min() >= 0 and found.max() <= 1 else "decision", 2)


def _array(answers: Any, names: tuple[str, ...]) -> NDArray[Any]:
    values = answers.to_numpy() if hasattr(answers, "to_numpy") else answers
    values = values.numpy() if hasattr(values, "numpy") else values
    if isinstance(values, list) and values and isinstance(values[0], dict):
        values = _of_dictionaries(values, names)
    try:
        found = np.asarray(values)
    except (ValueError, TypeError) as error:
        if isinstance(values, tuple):
            raise TargetError(
                f"the model answers a tuple of {len(values)}; expected one array: give a function that returns the"
                " scores, or labels, alone"
            ) from None
        raise TargetError(f"the model's answers are no array ({error}); expected numbers or labels") from None
    # Of a table whose columns are of several types.
    return found.astype(float) if found.dtype == object and _are_numbers(found) else found


def _are_numbers(found: NDArray[Any]) -> bool:
    return found.size > 0 and all(isinstance(each, (int, float, np.number)) for each in found.flat)


def _of_dictionaries(rows: list[dict[Any, Any]], names: tuple[str, ...]) -> list[list[Any]]:
    """Scores by class, as of an exported scikit-learn model: in the order of the data's classes where it has them."""
    keys = list(rows[0])
    if any(set(row) != set(keys) for row in rows):
        raise TargetError(f"the model answers dictionaries of other classes than {', '.join(map(str, keys[:20]))}")
    by_name = {str(key): key for key in keys}
    if set(names) == set(by_name):
        keys = [by_name[name] for name in names]
    return [[row[key] for key in keys] for row in rows]
