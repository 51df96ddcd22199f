"""What a champion says of some inputs, as the JSON objects of the answer; one function for every way in."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from bentoml.exceptions import InvalidArgument
from numpy.typing import NDArray

from redoubt.bundle.certificates import certified_eps, certified_interval
from redoubt.bundle.guard_config import Draws
from redoubt.bundle.guarded_model import GuardedModel, Predictions
from redoubt.bundle.schema import Schema
from redoubt.bundle.types import Floats
from serving.schema import Certify

# An answer that is no number: its input lies too far outside what the model was trained on.
NO_ANSWER = None


@dataclass(frozen=True, eq=False)
class Champion:
    """A model that passed the gates, and how its inputs are read.

    Attributes:
        model: as it is served.
        read: makes the network's inputs of JSON values.
        eps: L-inf size of the threat that its card reports on.
        threat: the same in words.
        example: an input that it was shown beside; None where there is none.
    """

    model: GuardedModel
    read: Callable[[list[Any]], Floats]
    eps: float
    threat: str = ""
    example: Any = None

    @property
    def schema(self) -> Schema:
        """Of its task."""
        return self.model.schema

    @property
    def largest(self) -> float:
        """The eps up to which a radius is looked for: there every pixel can be grey; of a table ten deviations."""
        return 0.5 if self.schema.kind == "image" else 10.0


@dataclass(frozen=True, eq=False)
class Drawn:
    """A model that proves for the draws of one answer, whatever generator it is handed."""

    model: GuardedModel
    draws: Draws

    @property
    def proves(self) -> bool:
        """Whether its layers have bounds."""
        return self.model.proves

    def prove(self, x: Floats, eps: float | Floats, _: np.random.Generator) -> Floats:
        """As `GuardedModel.prove`."""
        return self.model.prove_drawn(x, eps, self.draws)


@dataclass(frozen=True)
class Ask:
    """What is asked of a champion: the answers, and which certificates."""

    champion: Champion
    certify: Certify

    def answer(self, x: Floats) -> list[Any]:
        """The predictions for inputs `(inputs, *schema.shape)`, each as a JSON object, with fresh draws.

        Numbers are NumPy's, which orjson writes by the shortest decimal that names them; `NO_ANSWER` stands for an
        input without a finite answer.
        """
        guard = self.champion.model.guard
        return answer(self, x, guard.draw(np.random.default_rng(secrets.randbits(128)), len(x)))


def answer(ask: Ask, x: Floats, draws: Draws) -> list[Any]:
    """The predictions for inputs `(inputs, *schema.shape)` and given draws of the guard; see `Ask.answer`."""
    model = ask.champion.model
    # Overflow is looked for below.
    with np.errstate(all="ignore"):
        said = model.predict_drawn(x, draws)
        make = _classes if model.schema.is_classification else _numbers
        predictions: list[Any] = make(ask, said, x, draws)
    finite = np.isfinite(said.vote).all(axis=1) & np.isfinite(said.score)
    for index in np.flatnonzero(~finite):
        predictions[index] = NO_ANSWER
    return predictions


def check(rows: list[Any]) -> None:
    """Refuse answers of `Ask.answer` that are not finite.

    Raises:
        InvalidArgument: names the first of their inputs.
    """
    if NO_ANSWER in rows:
        raise InvalidArgument(
            f"input {rows.index(NO_ANSWER)}: the model has no finite answer;"
            " its numbers lie too far outside the range the model was trained on"
        )


def reply(task: str, ask: Ask, rows: list[Any]) -> bytes:
    """The body of a request's answer; `rows` are of `Ask.answer`, and finite."""
    digest = ask.champion.model.digest
    said = {"task": task, "model_digest": digest, "certify": ask.certify, "predictions": rows}
    return orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)


def _classes(ask: Ask, said: Predictions, x: Floats, draws: Draws) -> list[dict[str, Any]]:
    model, label = ask.champion.model, said.vote.argmax(axis=1)
    labels, names, chosen = model.schema.labels, model.variants, said.outputs.argmax(axis=2)
    outside = model.outside(x) > 0
    balls = _balls(ask, said, x, draws)
    if balls is not None:
        balls[outside.any(axis=1)] = 0.0
    return [
        {
            "label": labels[label[row]],
            "probabilities": dict(zip(labels, vote, strict=True)),
            "adversarial_score": said.score[row],
            "flagged": bool(said.flagged[row]),
            "outside": _named(model.schema, outside[row]),
            "certified": None if balls is None else {"norm": "linf", "eps": balls[row]},
            "variants": {name: labels[index] for name, index in zip(names, chosen[row], strict=True)},
        }
        for row, vote in enumerate(said.vote)
    ]


def _balls(ask: Ask, said: Predictions, x: Floats, draws: Draws) -> Floats | None:
    """The certified eps per input `(inputs,)`; None where none was asked for."""
    model, label, eps = ask.champion.model, said.vote.argmax(axis=1), ask.champion.eps
    if ask.certify == "none":
        return None
    if ask.certify == "radius":
        return certified_eps(Drawn(model, draws), x, label, 0, ask.champion.largest)
    balls = np.zeros(len(x), dtype=np.float32)
    # Where the variants disagree already nothing can be proven of the ball round them.
    (agreed,) = np.nonzero((said.outputs.argmax(axis=2) == label[:, None]).all(axis=1))
    if model.proves and len(agreed):
        leads = model.prove_drawn(x[agreed], eps, {name: each[agreed] for name, each in draws.items()})
        smallest = leads[np.arange(len(agreed)), :, label[agreed]].min(axis=1)
        balls[agreed] = np.where(smallest > 0, np.float32(eps), np.float32(0.0))
    return balls


def _numbers(ask: Ask, said: Predictions, x: Floats, draws: Draws) -> list[dict[str, Any]]:
    model, eps = ask.champion.model, ask.champion.eps
    outside = model.outside(x) > 0
    proves = model.proves and ask.certify != "none"
    ends = certified_interval(Drawn(model, draws), x, eps, 0) if proves else None
    return [
        {
            "value": said.vote[row, 0],
            "adversarial_score": said.score[row],
            "flagged": bool(said.flagged[row]),
            "outside": _named(model.schema, outside[row]),
            "certified": None
            if ends is None or outside[row].any()
            else {"norm": "linf", "eps": eps, "low": ends[row, 0], "high": ends[row, 1]},
            "variants": dict(zip(model.variants, each[:, 0], strict=True)),
        }
        for row, each in enumerate(said.outputs)
    ]


def _named(schema: Schema, outside: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_outside in zip(schema.input_names, outside, strict=True) if is_outside]
