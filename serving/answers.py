"""What a champion says of some inputs, as the JSON objects of the answer; one function for every way in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from bentoml.exceptions import InvalidArgument

from redoubt.bundle.base.types import Floats
from redoubt.bundle.model.guard_config import Draws
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from serving.guarded import NO_ANSWER, NO_ANSWER_SAYS, Asked
from serving.schema import Certify
from serving.stock import Stock

# Of the pixels of an image, if its card says nothing else: the steps above black that a byte has.
LEVELS = 255


@dataclass(frozen=True, eq=False)
class Champion:
    """A model that passed the gates, and how its inputs are read.

    Attributes:
        model: as it is served.
        read: makes the network's inputs of JSON values.
        eps: L-inf size of the threat that its card reports on.
        threat: the same in words.
        levels: that the pixels of its images are shares of.
        example: an input that it was shown beside; None where there is none.
    """

    model: GuardedModel
    read: Callable[[list[Any]], Floats]
    eps: float
    threat: str = ""
    levels: int = LEVELS
    example: Any = None

    @property
    def schema(self) -> Schema:
        """Of its task."""
        return self.model.schema

    @cached_property
    def stock(self) -> Stock:
        """Draws of its guard."""
        return Stock(self.model.guard)


@dataclass(frozen=True)
class Ask:
    """What is asked of a champion: the answers, and which certificates.

    Attributes:
        champion: who is asked.
        certify: which certificates the answers carry.
        sizes: further eps at which they are certified; of `budget` alone.
    """

    champion: Champion
    certify: Certify
    sizes: tuple[float, ...] = ()

    @property
    def usual(self) -> "Ask":
        """The same without further eps."""
        return Ask(self.champion, self.certify)

    def answer(self, x: Floats) -> list[Any]:
        """The predictions for inputs `(inputs, *schema.shape)`, each as a JSON object, with fresh draws.

        Numbers are NumPy's, which orjson writes by the shortest decimal that names them; `NO_ANSWER` stands for an
        input without a finite answer.
        """
        return answer(self, x, self.champion.stock.take(len(x)))


def answer(ask: Ask, x: Floats, draws: Draws) -> list[Any]:
    """The predictions for inputs `(inputs, *schema.shape)` and given draws of the guard; see `Ask.answer`."""
    champion = ask.champion
    return Asked(champion.model, champion.eps, ask.certify, ask.sizes).answer(x, draws)


def check(rows: list[Any]) -> None:
    """Refuse answers of `Ask.answer` that are not finite.

    Raises:
        InvalidArgument: names the first of their inputs.
    """
    if NO_ANSWER in rows:
        raise InvalidArgument(f"input {rows.index(NO_ANSWER)}: {NO_ANSWER_SAYS}")


def reply(task: str, ask: Ask, rows: list[Any]) -> bytes:
    """The body of a request's answer; `rows` are of `Ask.answer`, and finite."""
    digest = ask.champion.model.digest
    said = {"task": task, "model_digest": digest, "certify": ask.certify, "predictions": rows}
    return orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
