"""What a guarded model says of some inputs, as JSON objects; one function for every way in.

It needs redoubt.bundle alone, so that a model packed for MLflow can carry it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.types import Floats
from redoubt.bundle.certificates import certified_eps
from redoubt.bundle.model.guard_config import Draws
from redoubt.bundle.model.guarded_model import GuardedModel, Predictions
from redoubt.bundle.schema import Schema

Certify = Literal["none", "budget", "radius"]
# An answer that is no number: its input lies too far outside what the model was trained on.
NO_ANSWER = None
NO_ANSWER_SAYS = "the model has no finite answer; its numbers lie too far outside the range the model was trained on"


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


def largest_eps(schema: Schema) -> float:
    """The eps up to which a radius is looked for: there every pixel can be grey; of a table ten deviations."""
    return 0.5 if schema.kind == "image" else 10.0


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of a model.

    Attributes:
        model: that answers.
        eps: L-inf size of the threat that its card reports on.
        certify: which certificates the answers carry.
        sizes: further eps at which they are certified, in the same run; of `budget` alone.
    """

    model: GuardedModel
    eps: float
    certify: Certify
    sizes: tuple[float, ...] = ()

    def answer(self, x: Floats, draws: Draws) -> list[Any]:
        """The predictions for inputs and draws of the guard, each as a JSON object.

        Args:
            x: inputs `(inputs, *schema.shape)`.
            draws: as `GuardConfig.draw` makes them.

        Returns:
            Objects whose numbers are NumPy's; `NO_ANSWER` stands for an input without a finite answer.
        """
        # Overflow is looked for below.
        with np.errstate(all="ignore"):
            said = self.model.predict_drawn(x, draws)
            make = _classes if self.model.schema.is_classification else _numbers
            predictions: list[Any] = make(self, said, x, draws)
        finite = np.isfinite(said.vote).all(axis=1) & np.isfinite(said.score)
        for index in np.flatnonzero(~finite):
            predictions[index] = NO_ANSWER
        return predictions


def _classes(asked: Asked, said: Predictions, x: Floats, draws: Draws) -> list[dict[str, Any]]:
    model, label = asked.model, said.vote.argmax(axis=1)
    labels, names, chosen = model.schema.labels, model.variants, said.outputs.argmax(axis=2)
    outside = model.outside(x) > 0
    balls, held = _balls(asked, said, x, draws)
    if balls is not None:
        balls[outside.any(axis=1)] = 0.0
    held[outside.any(axis=1)] = False
    return [
        {
            "label": labels[label[row]],
            "probabilities": dict(zip(labels, vote, strict=True)),
            "adversarial_score": said.score[row],
            "flagged": bool(said.flagged[row]),
            "outside": _named(model.schema, outside[row]),
            "certified": None
            if balls is None
            else {"norm": "linf", "eps": balls[row], **_at(asked, [{"holds": bool(each)} for each in held[row]])},
            "variants": {name: labels[index] for name, index in zip(names, chosen[row], strict=True)},
        }
        for row, vote in enumerate(said.vote)
    ]


def _balls(asked: Asked, said: Predictions, x: Floats, draws: Draws) -> tuple[Floats | None, NDArray[np.bool_]]:
    """The certified eps per input `(inputs,)`, None if none was asked for, and which sizes hold `(inputs, sizes)`."""
    model, label = asked.model, said.vote.argmax(axis=1)
    holds = np.zeros((len(x), 1 + len(asked.sizes)), dtype=np.bool_)
    if asked.certify == "none":
        return None, holds[:, 1:]
    if asked.certify == "radius":
        return certified_eps(Drawn(model, draws), x, label, 0, largest_eps(model.schema)), holds[:, 1:]
    # Where the variants disagree already nothing can be proven of the ball round them.
    voting = said.outputs[:, : len(model.guard.voting)]
    (agreed,) = np.nonzero((voting.argmax(axis=2) == label[:, None]).all(axis=1))
    if model.proves and len(agreed):
        leads = _proof(asked, x[agreed], {name: each[agreed] for name, each in draws.items()})
        smallest = leads[np.arange(len(agreed)), :, :, label[agreed]].min(axis=2)
        holds[agreed] = smallest > 0
    return np.where(holds[:, 0], np.float32(asked.eps), np.float32(0.0)), holds[:, 1:]


def _proof(asked: Asked, x: Floats, draws: Draws) -> Floats:
    """What is proven at the card's eps and at each size, in one run: `(inputs, 1 + sizes, variants, columns)`."""
    eps = [asked.eps, *asked.sizes]
    if len(eps) > 1:
        x, draws = (
            np.repeat(x, len(eps), axis=0),
            {name: np.repeat(each, len(eps), axis=0) for name, each in draws.items()},
        )
    proof = asked.model.prove_drawn(x, np.tile(np.array(eps, dtype=np.float32), len(x) // len(eps)), draws)
    return proof.reshape(-1, len(eps), *proof.shape[1:])


def _at(asked: Asked, said: list[dict[str, Any]]) -> dict[str, Any]:
    """What is said of each size, if there are any; each is named as the graph has it, in float32."""
    if not asked.sizes:
        return {}
    return {"at": [{"eps": np.float32(eps), **each} for eps, each in zip(asked.sizes, said, strict=True)]}


def _numbers(asked: Asked, said: Predictions, x: Floats, draws: Draws) -> list[dict[str, Any]]:
    model, eps = asked.model, asked.eps
    outside = model.outside(x) > 0
    proves = model.proves and asked.certify != "none"
    # Those of the variants, averaged as their values are.
    ends = _proof(asked, x, draws).mean(axis=2) if proves else None
    return [
        {
            "value": said.vote[row, 0],
            "adversarial_score": said.score[row],
            "flagged": bool(said.flagged[row]),
            "outside": _named(model.schema, outside[row]),
            "certified": None
            if ends is None or outside[row].any()
            else {"norm": "linf", "eps": eps, **_ends(ends[row, 0]), **_at(asked, [*map(_ends, ends[row, 1:])])},
            "variants": dict(zip(model.variants, each[:, 0], strict=True)),
        }
        for row, each in enumerate(said.outputs)
    ]


def _ends(ends: Floats) -> dict[str, Any]:
    return {"low": ends[0], "high": ends[1]}


def _named(schema: Schema, outside: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_outside in zip(schema.input_names, outside, strict=True) if is_outside]
