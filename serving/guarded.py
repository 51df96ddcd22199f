"""What a guarded model says of some inputs, as JSON objects; one function for every way in.

It needs redoubt.bundle alone, so that a model packed for MLflow can carry it.
"""

import math
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
            # Finite only if all of them are; which of them are not is seldom to be found out.
            total = np.add.reduce(said.vote, axis=None) + np.add.reduce(said.score)
        if not math.isfinite(total):
            for index in np.flatnonzero(~(np.isfinite(said.vote).all(axis=1) & np.isfinite(said.score))):
                predictions[index] = NO_ANSWER
        return predictions


def _classes(asked: Asked, said: Predictions, x: Floats, draws: Draws) -> list[dict[str, Any]]:
    model, label, chosen = asked.model, said.vote.argmax(axis=1), said.outputs.argmax(axis=2)
    labels, names = model.schema.labels, model.variants
    outside = _outside(model, x)
    certified = _balls(asked, chosen, label, x, draws, outside)
    return [
        {
            "label": labels[label[row]],
            "probabilities": dict(zip(labels, vote, strict=True)),
            "adversarial_score": said.score[row],
            "flagged": bool(said.flagged[row]),
            "outside": outside[row],
            "certified": certified[row],
            "variants": {name: labels[index] for name, index in zip(names, chosen[row], strict=True)},
        }
        for row, vote in enumerate(said.vote)
    ]


def _balls(
    asked: Asked, chosen: NDArray[Any], label: NDArray[np.int64], x: Floats, draws: Draws, outside: list[list[str]]
) -> list[dict[str, Any] | None]:
    """Each input's certificate, or None where none was asked for.

    Args:
        asked: which certificates.
        chosen: the label of each variant `(inputs, variants)`.
        label: of the answer `(inputs,)`.
        x: the inputs.
        draws: of the guard.
        outside: of which columns each input lies outside the training range: nothing is certified there.
    """
    model = asked.model
    if asked.certify == "none":
        return [None] * len(x)
    if asked.certify == "radius":
        radii = certified_eps(Drawn(model, draws), x, label, 0, largest_eps(model.schema))
        return [_ball(np.float32(0.0) if beyond else eps) for eps, beyond in zip(radii, outside, strict=True)]
    # Where the variants disagree already nothing can be proven of the ball round them.
    agreed = (chosen[:, model.guard.answering] == label[:, None]).all(axis=1)
    agreed &= [not beyond for beyond in outside]
    holds = np.zeros((len(x), 1 + len(asked.sizes)), dtype=np.bool_)
    if model.proves and agreed.any():
        (some,) = np.nonzero(agreed)
        if len(some) < len(x):
            x, draws = x[some], {name: each[some] for name, each in draws.items()}
        leads = _proof(asked, x, draws)
        holds[some] = leads[np.arange(len(some)), :, :, label[some]].min(axis=2) > 0
    eps = np.where(holds[:, 0], np.float32(asked.eps), np.float32(0.0))
    return [
        _ball(eps[row], **_at(asked, [{"holds": bool(each)} for each in holds[row, 1:]])) for row in range(len(holds))
    ]


def _ball(eps: np.float32, **more: Any) -> dict[str, Any]:
    return {"norm": "linf", "eps": eps, **more}


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
    outside = _outside(model, x)
    proves = model.proves and asked.certify != "none"
    # Those of the variants, averaged as their values are.
    ends = _proof(asked, x, draws).mean(axis=2) if proves else None
    return [
        {
            "value": said.vote[row, 0],
            "adversarial_score": said.score[row],
            "flagged": bool(said.flagged[row]),
            "outside": outside[row],
            "certified": None
            if ends is None or outside[row]
            else {"norm": "linf", "eps": eps, **_ends(ends[row, 0]), **_at(asked, [*map(_ends, ends[row, 1:])])},
            "variants": dict(zip(model.variants, each[:, 0], strict=True)),
        }
        for row, each in enumerate(said.outputs)
    ]


def _ends(ends: Floats) -> dict[str, Any]:
    return {"low": ends[0], "high": ends[1]}


def _outside(model: GuardedModel, x: Floats) -> list[list[str]]:
    """The columns in which each input lies outside its training range; an image's pixels lie in no other."""
    if model.schema.kind == "image":
        return [[] for _ in x]
    outside = model.outside(x) > 0
    if not outside.any():
        return [[] for _ in x]
    names = model.schema.input_names
    return [[name for name, is_outside in zip(names, row, strict=True) if is_outside] for row in outside]
