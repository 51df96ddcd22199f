"""The promoted bundles in memory: which of them may answer, and their answers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from bentoml.exceptions import InvalidArgument, ServiceUnavailable
from pydantic import BaseModel, ConfigDict, Field

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import digest_folder, read_typed
from redoubt.bundle.base.types import NAME_RULE, Floats, Name, Positive, is_name
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, NOT_PROMOTED, GuardedModel
from serving.answers import LEVELS, Ask, Champion, check, reply
from serving.images import decode
from serving.inputs import reader
from serving.schema import PredictRequest, PredictResponse, UploadRequest, short, sizes_of

# Below BentoML's logger, whose handlers and format the server sets up.
log = logging.getLogger("bentoml.redoubt")

# Squeezing moves a class's probabilities by 2 in all at most, but for rounding; a value by less than 1,000 standard
# deviations of the target. A threshold above that flags nothing.
MOST_MOVED = {True: 2.001, False: 1000.0}


class Told(BaseModel):
    """The threat of a card in words, which give its eps in raw units too; pixels are shares of `levels`."""

    model_config = ConfigDict(frozen=True, strict=True)

    says: Annotated[str, Field(max_length=10_000)]
    levels: Annotated[int, Field(ge=1, le=LEVELS)] = LEVELS


class Card(BaseModel):
    """What the service needs to know of a champion's card.json; `eps` is the L-inf size of its threat."""

    model_config = ConfigDict(frozen=True, strict=True)

    task: Name
    digest: str
    passed: bool
    eps: Positive
    threat: Told | None = None


class Example(BaseModel):
    """A request that a bundle was shown beside."""

    inputs: list[Any]


@dataclass(frozen=True)
class Runtime:
    """Every champion by task, and why a task that has a bundle is not among them.

    Attributes:
        champions: those that answer.
        problems: a sentence per task whose bundle was refused.
        refused: tasks of which no model cleared the gates.
        pending: a sentence per task whose newer bundle is not served, or not yet; its former one, if any, goes on.
    """

    champions: dict[str, Champion]
    problems: dict[str, str]
    refused: frozenset[str] = frozenset()
    pending: dict[str, str] = field(default_factory=dict)

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
        return _answered(request.task, *self.read(request))

    def predict_image(self, request: UploadRequest) -> PredictResponse:
        """Answer one uploaded PNG or JPEG; raises as `read_image` does."""
        return _answered(request.task, *self.read_image(request))

    def read(self, request: PredictRequest) -> tuple[Ask, Floats]:
        """What is asked, and the inputs; raises as `predict` does."""
        champion = self.champion(request.task)
        return Ask(champion, request.certify, tuple(request.eps)), champion.read(request.inputs)

    def read_image(self, request: UploadRequest) -> tuple[Ask, Floats]:
        """What is asked of one uploaded PNG or JPEG, and its pixels.

        Raises:
            InvalidArgument: unknown task, one that takes no images, or an image that does not fit it.
            ServiceUnavailable: the task's bundle was refused.
        """
        champion = self.champion(request.task)
        if champion.schema.kind != "image":
            raise InvalidArgument(f"task '{request.task}' takes records, not images; POST them to /predict")
        return Ask(champion, request.certify, sizes_of(request.eps, request.certify)), decode(
            request.image, champion.schema
        )

    def champion(self, task: str) -> Champion:
        """The one of a task.

        Raises:
            InvalidArgument: there is none.
            ServiceUnavailable: its bundle was refused.
        """
        if task in self.problems:
            raise ServiceUnavailable(self.problems[task])
        if task in self.refused:
            raise InvalidArgument(
                f"no model of '{task}' cleared the gates, so none is served; the report says which gate and by how much"
            )
        if task not in self.champions:
            if task in self.pending:
                raise ServiceUnavailable(self.pending[task])
            served = ", ".join(self.champions) or "none; run `make repro`"
            raise InvalidArgument(f"unknown task {short(task)}; tasks served: {served}")
        return self.champions[task]


def load(folder: Path, found: Mapping[str, Sequence[Path]] | None = None) -> Runtime:
    """Load every bundle whose card reports on its digest; log why any other is refused.

    Args:
        folder: the pipeline's models folder, of bundles TASK/champion, each served as its task; or a zoo of bundles,
            each served by its folder's name.
        found: where the bundles lie, by task; without it, as of `bundles`.
    """
    champions: dict[str, Champion] = {}
    problems: dict[str, str] = {}
    refused: set[str] = set()
    for task, places in (bundles(folder) if found is None else found).items():
        try:
            champion = vouched(folder, task, places)
        except BundleError as error:
            problems[task] = said(error, folder)
            log.error(
                "task %s is not served, and the service is not ready: %s", task if is_name(task) else short(task), error
            )
            continue
        if champion is None:
            log.info("task %s is not served: no model of it cleared the gates", task)
            refused.add(task)
        else:
            champions[task] = champion
            log.info("task %s: serving model %s", task, champion.model.digest)
    if not champions and not problems:
        log.error("nothing to serve: no champion in %s; run `make repro`, then start the service again", folder)
    return Runtime(champions, problems, frozenset(refused))


def said(error: BundleError, folder: Path) -> str:
    """What may be told of an error to anybody: where the models lie on this machine is nobody's business."""
    return str(error).replace(f"{folder}/", "").replace(str(folder), "the models folder")


def bundles(folder: Path) -> dict[str, list[Path]]:
    """Where the bundles of a models folder lie, by task; of one that lies at two places both."""
    found: dict[str, list[Path]] = {}
    zoo = [card.parent for card in folder.glob("[!.]*/card.json")]
    for bundle in sorted([*folder.glob("[!.]*/champion"), *zoo]):
        found.setdefault(bundle.name if bundle in zoo else bundle.parent.name, []).append(bundle)
    return found


def vouched(folder: Path, task: str, places: Sequence[Path]) -> Champion | None:
    """A task's champion; None where no model of it cleared the gates.

    Args:
        folder: of all.
        task: what it is served as.
        places: as of `bundles`.

    Raises:
        BundleError: it may not be served; says why.
    """
    if not is_name(task):
        raise BundleError(f"the folder {short(task)} of {folder} is not served: {NAME_RULE}")
    if len(places) > 1:
        raise BundleError(f"{folder / task} holds a bundle itself and a champion's too; remove one of them")
    if (places[0] / NOT_PROMOTED).is_file():
        return None
    champion = checked(places[0])
    made_for = champion.schema.task
    # A zoo's folders have names of their own.
    if places[0].name == "champion" and made_for != task:
        raise BundleError(f"{places[0]} was made for task '{made_for}', its card for '{made_for}'")
    return champion


def checked(bundle: Path) -> Champion:
    """A bundle whose card reports on its digest.

    Raises:
        BundleError: it is not whole, or its card speaks of another one or of gates that were not passed.
    """
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
    model = GuardedModel.load(bundle, threads=1, evaluates=False)
    if card.task != model.schema.task:
        raise BundleError(f"{bundle} was made for task '{model.schema.task}', its card for '{card.task}'")
    # It may have been replaced since it was compared.
    if model.digest != card.digest:
        raise BundleError(f"{bundle} changed while it was read; it is looked at again")
    _check_flags(model)
    read = reader(model.schema)
    told = card.threat or Told(says="")
    return Champion(model, read, card.eps, told.says, told.levels, _example(bundle, read))


def _example(bundle: Path, read: Callable[[list[Any]], Floats]) -> Any:
    """The first input of the request beside a bundle, for which nobody vouched; None if there is none that fits."""
    try:
        inputs = read_typed(bundle / "example.json", Example).inputs[:1]
        read(inputs)
        return inputs[0]
    except (OSError, BundleError, InvalidArgument, IndexError):
        return None


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


def _answered(task: str, ask: Ask, x: Floats) -> PredictResponse:
    rows = ask.answer(x)
    check(rows)
    return PredictResponse.model_validate_json(reply(task, ask, rows))
