"""The promoted bundles in memory: which of them may answer, and their answers."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from bentoml.exceptions import InvalidArgument, ServiceUnavailable
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from redoubt.bundle.certificates import certified_eps, certified_interval
from redoubt.bundle.errors import BundleError
from redoubt.bundle.guarded_model import BUNDLE_FILES, NOT_PROMOTED, GuardedModel, Predictions
from redoubt.bundle.io import digest_folder, read_typed
from redoubt.bundle.schema import Schema
from redoubt.bundle.types import NAME_RULE, Floats, Name, Positive, is_name
from serving.images import decode
from serving.inputs import reader
from serving.schema import (
    CertifiedBall,
    CertifiedInterval,
    ClassPrediction,
    NumberPrediction,
    PredictRequest,
    PredictResponse,
    UploadRequest,
    short,
)

# Below BentoML's logger, whose handlers and format the server sets up.
log = logging.getLogger("bentoml.redoubt")

# Squeezing moves a class's probabilities by 2 in all at most, but for rounding; a value by less than 1,000 standard
# deviations of the target. A threshold above that flags nothing.
MOST_MOVED = {True: 2.001, False: 1000.0}


class Told(BaseModel):
    """The threat of a card in words, which give its eps in raw units too."""

    model_config = ConfigDict(frozen=True, strict=True)

    says: Annotated[str, Field(max_length=10_000)]


class Card(BaseModel):
    """What the service needs to know of a champion's card.json; `eps` is the L-inf size of its threat."""

    model_config = ConfigDict(frozen=True, strict=True)

    task: Name
    digest: str
    passed: bool
    eps: Positive
    threat: Told | None = None


@dataclass(frozen=True)
class Champion:
    """A model that passed the gates, and how its inputs are read."""

    model: GuardedModel
    read: Callable[[list[Any]], Floats]
    eps: float
    threat: str = ""

    @property
    def schema(self) -> Schema:
        """Of its task."""
        return self.model.schema

    @property
    def largest(self) -> float:
        """The eps up to which a certificate is looked for: there every pixel can be grey; of a table ten deviations."""
        return 0.5 if self.schema.kind == "image" else 10.0


@dataclass(frozen=True)
class Runtime:
    """Every champion by task, and why a task that has a bundle is not among them."""

    champions: dict[str, Champion]
    problems: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether there is something to serve and nothing had to be refused."""
        return bool(self.champions) and not self.problems

    def predict(self, request: PredictRequest) -> PredictResponse:
        """Answer images or records.

        Raises:
            InvalidArgument: unknown task, or an input that does not fit it; names its index.
            ServiceUnavailable: the task's bundle was refused.
        """
        champion = self._champion(request.task)
        return _answer(request.task, champion, champion.read(request.inputs))

    def predict_image(self, request: UploadRequest) -> PredictResponse:
        """Answer one uploaded PNG or JPEG.

        Raises:
            InvalidArgument: unknown task, one that takes no images, or an image that does not fit it.
            ServiceUnavailable: the task's bundle was refused.
        """
        champion = self._champion(request.task)
        if champion.schema.kind != "image":
            raise InvalidArgument(f"task '{request.task}' takes records, not images; POST them to /predict")
        return _answer(request.task, champion, decode(request.image, champion.schema))

    def _champion(self, task: str) -> Champion:
        if task in self.problems:
            raise ServiceUnavailable(self.problems[task])
        if task not in self.champions:
            served = ", ".join(self.champions) or "none; run `make repro`"
            raise InvalidArgument(f"unknown task {short(task)}; tasks served: {served}")
        return self.champions[task]


def load(folder: Path) -> Runtime:
    """Load every bundle whose card reports on its digest; log why any other is refused.

    Args:
        folder: the pipeline's models folder, of bundles TASK/champion, each served as its task; or a zoo of bundles,
            each served by its folder's name.
    """
    champions: dict[str, Champion] = {}
    problems: dict[str, str] = {}
    zoo = [card.parent for card in folder.glob("[!.]*/card.json")]
    for bundle in sorted([*folder.glob("[!.]*/champion"), *zoo]):
        task = bundle.name if bundle in zoo else bundle.parent.name
        if not is_name(task):
            problems[task] = f"the folder {short(task)} of {folder} is not served: {NAME_RULE}"
            log.error("%s", problems[task])
            continue
        if (bundle / NOT_PROMOTED).is_file():
            log.info("task %s is not served: no model of it cleared the gates", task)
            continue
        try:
            if task in champions:
                raise BundleError(f"{bundle.parent} holds a bundle itself and a champion's too; remove one of them")
            champions[task] = _vouched(bundle)
            log.info("task %s: serving model %s", task, champions[task].model.digest)
        except BundleError as error:
            problems[task] = str(error)
            log.error("task %s is not served, and the service is not ready: %s", task, error)
    if not champions and not problems:
        log.error("nothing to serve: no champion in %s; run `make repro`, then start the service again", folder)
    return Runtime(champions, problems)


def _vouched(bundle: Path) -> Champion:
    try:
        card = read_typed(bundle / "card.json", Card)
        digest = digest_folder(bundle, BUNDLE_FILES)
    except OSError as error:
        raise BundleError(f"{error.filename} cannot be read; run `dvc repro` again") from None
    if not card.passed:
        raise BundleError(f"the card of {bundle} says that its gates were not passed")
    # Compared before the graph is opened: what nobody vouched for is not even parsed.
    if digest != card.digest:
        raise BundleError(f"{bundle} has digest {digest}, but its card reports on {card.digest}")
    model = GuardedModel.load(bundle, threads=1)
    if not card.task == model.schema.task or (bundle.name == "champion" and card.task != bundle.parent.name):
        raise BundleError(f"{bundle} was made for task '{model.schema.task}', its card for '{card.task}'")
    _check_flags(model)
    return Champion(model, reader(model.schema), card.eps, card.threat.says if card.threat else "")


def _check_flags(model: GuardedModel) -> None:
    """Refuse a guard whose detector can flag nothing, whatever comes.

    Raises:
        BundleError: names the threshold and the largest that is of use.
    """
    classes, guard = model.schema.is_classification, model.guard
    most = MOST_MOVED[classes] / (guard.output_scale if classes else 1.0)
    if guard.threshold > most:
        raise BundleError(
            f"guard.json: threshold is {guard.threshold:g}, which no score exceeds: nothing would be flagged; expected"
            f" at most {most:g}"
        )


def _answer(task: str, champion: Champion, x: Floats) -> PredictResponse:
    model, draws = champion.model, secrets.randbits(128)
    # Overflow is looked for below, and answered with a sentence.
    with np.errstate(all="ignore"):
        answers = model.predict(x, np.random.default_rng(draws))
    finite = np.isfinite(answers.vote).all(axis=1) & np.isfinite(answers.score)
    if not finite.all():
        raise InvalidArgument(
            f"input {int(finite.argmin())}: the model has no finite answer;"
            " its numbers lie too far outside the range the model was trained on"
        )
    predictions = (
        _classes(champion, answers, x, draws)
        if model.schema.is_classification
        else _numbers(champion, answers, x, draws)
    )
    return PredictResponse(task=task, model_digest=model.digest, predictions=predictions)


def _classes(champion: Champion, answers: Predictions, x: Floats, draws: int) -> list[ClassPrediction]:
    model, chosen = champion.model, answers.outputs.argmax(axis=2)
    labels, names = model.schema.labels, model.variants
    outside = model.outside(x) > 0
    balls = certified_eps(model, x, answers.vote.argmax(axis=1), draws, champion.largest)
    balls[outside.any(axis=1)] = 0.0
    return [
        ClassPrediction(
            label=labels[vote.argmax()],
            probabilities=dict(zip(labels, map(_plain, vote), strict=True)),
            adversarial_score=_plain(score),
            flagged=bool(flag),
            outside=_named(model.schema, beyond),
            certified=CertifiedBall(eps=_plain(eps)),
            variants={name: labels[index] for name, index in zip(names, each, strict=True)},
        )
        for vote, score, flag, beyond, eps, each in zip(
            answers.vote, answers.score, answers.flagged, outside, balls, chosen, strict=True
        )
    ]


def _numbers(champion: Champion, answers: Predictions, x: Floats, draws: int) -> list[NumberPrediction]:
    model, names = champion.model, champion.model.variants
    outside = model.outside(x) > 0
    ends = certified_interval(model, x, champion.eps, draws) if model.proves else None
    return [
        NumberPrediction(
            value=_plain(vote[0]),
            adversarial_score=_plain(score),
            flagged=bool(flag),
            outside=_named(model.schema, outside[row]),
            certified=None
            if ends is None or outside[row].any()
            else CertifiedInterval(eps=champion.eps, low=_plain(ends[row, 0]), high=_plain(ends[row, 1])),
            variants=dict(zip(names, map(_plain, each[:, 0]), strict=True)),
        )
        for row, (vote, score, flag, each) in enumerate(
            zip(answers.vote, answers.score, answers.flagged, answers.outputs, strict=True)
        )
    ]


def _named(schema: Schema, outside: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_outside in zip(schema.input_names, outside, strict=True) if is_outside]


def _plain(value: np.floating[Any]) -> float:
    # The shortest decimal that names this float32: 0.1 rather than 0.10000000149.
    return float(str(np.float32(value)))
