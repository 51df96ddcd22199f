"""params.yaml, parsed once into frozen, strict types that refuse unknown keys."""

import difflib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

Kind = Literal["regression", "classification", "image"]
Norm = Literal["linf", "l2"]
Balance = Literal["none", "weights"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
# What float32 can hold, with room to compute.
Number = Annotated[float, Field(ge=-1e38, le=1e38, allow_inf_nan=False)]


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError("the first number must be below the second")
    return ends


Range = Annotated[tuple[Number, Number], AfterValidator(_rising)]

BY_KIND = ("sweep", "train", "harden", "guard", "attack", "certify", "gates")
SHARED = ("split", "validate")
# Keys that tell the members of a union apart.
TAGS = {"kind", "method"}


class ParamsError(ValueError):
    """A params.yaml that cannot be used; the message names the file, the key and the mend."""


class Strict(BaseModel):
    """Frozen, strictly typed, refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


M = TypeVar("M", bound=Strict)


class SplitParams(Strict):
    """Shares of all rows held out, and N of the N-fold cross-validation on the rest."""

    test: Annotated[float, Field(gt=0.0, lt=0.9)]
    validation: Annotated[float, Field(gt=0.0, lt=0.9)]
    folds: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _leave_rows_to_train(self) -> "SplitParams":
        if self.test + self.validation >= 1.0:
            raise ValueError(f"test + validation is {self.test + self.validation:g}; it must be below 1")
        return self


class ValidateParams(Strict):
    """What raw data must satisfy; every figure but min_rows is a share of the rows."""

    min_rows: Count
    max_missing: Share
    max_duplicates: Share
    min_class_share: Share


class Linear(Strict):
    """Least squares, logistic or softmax regression, by the kind of task."""

    kind: Literal["linear"]


class Mlp(Strict):
    """Fully connected ReLU layers.

    Attributes:
        normalize: batch normalization before each ReLU.
    """

    kind: Literal["mlp"]
    units: Annotated[tuple[Count, ...], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    normalize: bool = False


class Cnn(Strict):
    """Convolution and pooling stages, then fully connected ReLU layers.

    Attributes:
        normalize: batch normalization before each ReLU.
        contrast: pixels up to the first value are taken for black and from the second on for white, linear in between;
            a perturbation of a pixel that stays on its side changes nothing.
    """

    kind: Literal["cnn"]
    filters: Annotated[tuple[Count, ...], Field(min_length=1)]
    units: tuple[Count, ...] = ()
    kernel: Count = 3
    pooling: Literal["max", "stride"] = "max"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    normalize: bool = False
    contrast: Range | None = None


ModelParams = Annotated[Linear | Mlp | Cnn, Field(discriminator="kind")]


class SweepParams(Strict):
    """The grid batch_size x learning_rate x models, and how long each fold is trained."""

    batch_size: Annotated[tuple[Count, ...], Field(min_length=1)]
    learning_rate: Annotated[tuple[Positive, ...], Field(min_length=1)]
    models: Annotated[tuple[ModelParams, ...], Field(min_length=1)]
    epochs: Count
    rows: Count | None = None


class TrainParams(Strict):
    """Longest training in epochs, and after how many without progress it stops.

    Attributes:
        decay: lower the learning rate to 0 along a cosine.
        balance: `weights` lets every class weigh alike in the sweep, the training and every hardening: examples by the
            inverse frequency of their class, 1 in the mean.
    """

    epochs: Count
    patience: Count
    decay: bool = False
    balance: Balance = "none"


class Recipe(Strict):
    """What every hardening has: how long, how eps rises, whether weights are averaged, what replaces the selection.

    Attributes:
        epochs: passes over the training rows.
        ramp: share of all updates over which eps rises from 0.
        average: share of the averaged weights that each update keeps; 0 saves the last weights themselves.
        model: replaces the selected one.
        batch_size: likewise.
        learning_rate: likewise; it falls to 0 along a cosine.
    """

    epochs: Count
    ramp: Share = 0.4
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    model: ModelParams | None = None
    batch_size: Count | None = None
    learning_rate: Positive | None = None


class Augment(Strict):
    """How far each picture may be turned, enlarged and shifted anew every time it is learnt from.

    Attributes:
        rotation: largest turn either way, degrees.
        scale: largest change of size either way, a share.
        shift: largest shift along each side, a share of the side.
    """

    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    shift: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Augmented(Recipe):
    """A hardening that may move its pictures.

    Attributes:
        augment: how; an image task's only: what is robust generalizes worse than what is right (arXiv 2103.01946).
    """

    augment: Augment | None = None


class Threat(Strict):
    """A norm and the largest perturbation in it, in the units of `attack`."""

    norm: Norm = "linf"
    eps: Positive


class Pgd(Augmented, Threat):
    """Adversarial training by PGD (arXiv 1706.06083).

    Attributes:
        steps: of the attack.
        also: further threats; batches meet all of them in turn, since what withstands one may fall to another.
    """

    method: Literal["pgd"]
    steps: Count = 5
    also: tuple[Threat, ...] = ()


class Fast(Augmented, Threat):
    """One step from a random start (arXiv 2001.03994), stopped when PGD on held-out training rows says it overfits.

    Attributes:
        step: of the attack, as a share of eps.
        held_out: share of the training rows that only watch.
    """

    method: Literal["fast"]
    step: Positive = 1.25
    held_out: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05


class Free(Recipe, Threat):
    """Free adversarial training (arXiv 1904.12843).

    Attributes:
        replays: times each batch is given in a row; there are so many times fewer epochs.
    """

    method: Literal["free"]
    replays: Count = 4


class Trades(Augmented, Threat):
    """TRADES (arXiv 1901.08573).

    Attributes:
        steps: of the attack.
        beta: weight of agreement around the input.
    """

    method: Literal["trades"]
    steps: Count = 5
    beta: Positive = 6.0


class Ibp(Augmented):
    """Certified training by interval bounds (arXiv 1810.12715), L-inf.

    Attributes:
        eps: to be certified.
        reach: eps in training, as a multiple of `eps`: a little more than is certified helps.
        natural: weight of the loss on single points before and after the ramp; the rest is on the bounds.
        regularize: weight of Shi et al.'s regularizers while eps rises (arXiv 2103.17268).
        steps: of PGD on the single points (MTL-IBP, arXiv 2305.13991); 0 takes the inputs themselves.
    """

    method: Literal["ibp"]
    eps: Positive
    reach: Annotated[float, Field(ge=1.0)] = 1.05
    natural: tuple[Share, Share] = (0.6, 0.1)
    regularize: Annotated[float, Field(ge=0.0)] = 0.5
    steps: Annotated[int, Field(ge=0)] = 0


class UnderNoise(Augmented):
    """Training under noise, for randomized smoothing.

    Attributes:
        sigma: of the noise.
        consistency: weight of agreement between two draws of it per row (arXiv 2006.04062), which doubles the cost
            of an update; 0 learns from one draw.
    """

    sigma: Positive
    consistency: Annotated[float, Field(ge=0.0)] = 0.0


class Gaussian(UnderNoise):
    """The rows themselves under noise (arXiv 1902.02918)."""

    method: Literal["gaussian"]


class SmoothAdv(UnderNoise):
    """Noise round points where the smoothed network gives way (arXiv 1906.04584), L2.

    Attributes:
        eps: L2 size of the attack.
        steps: of the attack.
        draws: of noise per gradient.
    """

    method: Literal["smoothadv"]
    eps: Positive
    steps: Count = 2
    draws: Count = 2


Adversarial = Annotated[Pgd | Fast | Free | Trades, Field(discriminator="method")]
ForSmoothing = Annotated[Gaussian | SmoothAdv, Field(discriminator="method")]
# The hardened models of a task, by the key of their recipe.
HARDENED = ("adversarial", "certified", "smoothed")
# The models that are attacked and may be promoted: the smoothed one is only as good as its noise, which is not served.
CANDIDATES = ("natural", "adversarial", "certified")


class HardenParams(Strict):
    """A recipe per hardened model; the adversarial one's threat is the one that the gates look at."""

    adversarial: Adversarial
    certified: Ibp
    smoothed: ForSmoothing

    @property
    def norm(self) -> Norm:
        """In which the task is hardened."""
        return self.adversarial.norm

    def recipe(self, name: str) -> Pgd | Fast | Free | Trades | Ibp | Gaussian | SmoothAdv:
        """The recipe of one of `HARDENED`."""
        return {"adversarial": self.adversarial, "certified": self.certified, "smoothed": self.smoothed}[name]


class ImageGuard(Strict):
    """Median window, bit depth, smallest side after a random resize, and number of random draws."""

    median: Annotated[int, Field(ge=2, le=9)]
    bits: Annotated[int, Field(ge=1, le=8)]
    shrink: Annotated[float, Field(gt=0.3, lt=1.0)]
    draws: Count
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]


class TableGuard(Strict):
    """Bit depth over each feature's valid range, noise in units of its spread, number of draws."""

    bits: Annotated[int, Field(ge=1, le=16)]
    noise: Positive
    draws: Count
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]


class Budget(Strict):
    """The eps of each norm at which the headline robustness is stated."""

    linf: Positive
    l2: Positive

    def of(self, norm: Norm) -> float:
        """The eps of one norm."""
        return self.linf if norm == "linf" else self.l2


class AttackParams(Strict):
    """Threats (eps per norm), the effort of the attackers who try them, and how many rows are attacked."""

    linf: Annotated[tuple[Positive, ...], Field(min_length=1)]
    l2: Annotated[tuple[Positive, ...], Field(min_length=1)]
    budget: Budget
    points: Count
    steps: Count
    restarts: Count
    eot: Count
    queries: Count

    def grid(self, norm: Norm) -> tuple[float, ...]:
        """Every eps of one norm, rising."""
        return self.linf if norm == "linf" else self.l2

    @model_validator(mode="after")
    def _budget_is_on_the_curve(self) -> "AttackParams":
        for norm in ("linf", "l2"):
            grid, eps = getattr(self, norm), getattr(self.budget, norm)
            if list(grid) != sorted(set(grid)):
                raise ValueError(f"{norm} must rise strictly; got {list(grid)}")
            if eps not in grid:
                raise ValueError(f"budget.{norm} is {eps:g}, which is not among {norm} = {list(grid)}")
        return self


class CertifyParams(Strict):
    """Randomized smoothing (arXiv 1902.02918): noise, sample sizes, failure probability, radii shown, rows.

    Interval bounds need none of it: they are taken on the rows and at the eps of `attack`.
    """

    sigma: Positive
    radii: Annotated[tuple[Positive, ...], Field(min_length=1)]
    selection_draws: Count
    draws: Count
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)]
    points: Count

    @model_validator(mode="after")
    def _draws_can_prove(self) -> "CertifyParams":
        # A unanimous vote proves no more than alpha^(1 / draws).
        enough = math.ceil(math.log(self.alpha) / math.log(0.5)) + 1
        if self.draws < enough:
            raise ValueError(
                f"draws is {self.draws}; with alpha {self.alpha:g} even a unanimous vote proves nothing below {enough}"
            )
        return self


class GatesParams(Strict):
    """What a guarded model must reach on validation examples to be promoted.

    Clean is balanced accuracy, of a number R2 against the mean of the training rows; robust is the same under the
    adaptive attack at the budget, of a number tolerance skill: what is within the tolerance, where that mean counts 0.

    Attributes:
        margin: least lead of clean's lower end over what a constant gets (1 / classes, or 0); it must be exceeded.
        worse_than_linear: how far clean may lie below that of a plain linear model on the same examples.
        robust: floor under robust's lower end; left out: none.
        clean: floor under clean's lower end; left out: none, since how hard a task is nobody knows beforehand.
    """

    margin: Share = 0.0
    worse_than_linear: Share = 0.1
    robust: Share | None = None
    clean: Share | None = None


class Task(Strict):
    """One task with every section resolved: the kind's defaults, overridden by the task's own block.

    Attributes:
        integer: features of whole numbers, which attacks keep whole and the service wants whole.
        immutable: features beyond an attacker's reach.
        ranges: smallest and largest valid value by feature; an attack keeps the others within the training rows' range.
    """

    name: str
    kind: Kind
    source: str
    target: str
    features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    integer: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    ranges: dict[str, Range] = Field(default_factory=dict)
    tolerance: Positive | None = None
    split: SplitParams
    checks: ValidateParams
    sweep: SweepParams
    train: TrainParams
    harden: HardenParams
    guard: ImageGuard | TableGuard
    attack: AttackParams
    certify: CertifyParams
    gates: GatesParams

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Task":
        if self.kind == "regression" and self.tolerance is None:
            raise ValueError("a regression task needs 'tolerance': the largest error that counts as right")
        of_tables = ("features", "categorical", "integer", "immutable", "ranges")
        given = next((name for name in of_tables if getattr(self, name)), None)
        if self.kind == "regression" and self.train.balance != "none":
            raise ValueError("train.balance weighs classes; this task is a regression: leave it out")
        if self.kind == "image" and given:
            raise ValueError(f"an image task takes no '{given}'")
        if self.kind != "image" and any(m.kind == "cnn" for m in self.sweep.models):
            raise ValueError("a cnn needs images; this task is a table")
        moving = next((name for name in HARDENED if getattr(self.harden.recipe(name), "augment", None)), None)
        if self.kind != "image" and moving:
            raise ValueError(f"harden.{moving}: 'augment' moves pictures; this task is a table")
        if self.features:
            self.check_declared(self.features)
        return self

    def check_declared(self, numbers: tuple[str, ...]) -> None:
        """Refuse what is declared of a feature that is none.

        Args:
            numbers: the features that are numbers, which are known from the data alone where `features` is left out.

        Raises:
            ValueError: a name that is no feature, with the nearest that is; nothing left for an attacker to change.
        """
        valid = {"integer": numbers, "ranges": numbers, "immutable": (*numbers, *self.categorical)}
        for option, names in valid.items():
            for name in getattr(self, option):
                if name not in names:
                    raise ValueError(f"{option}: {_unknown(name, list(names), 'feature')}")
        if numbers and set(numbers) <= set(self.immutable):
            raise ValueError(f"immutable: all of {', '.join(numbers)}; leave a number that an attacker can change")


class StudySizes(Strict):
    """Sizes of a study, by the names that its module documents.

    Attributes:
        quick: what differs from the module's defaults, quick or full.
        full: what differs further at full size.
    """

    quick: dict[str, Any] = {}
    full: dict[str, Any] = {}


class Params(Strict):
    """The whole file.

    Attributes:
        seed: of everything that is drawn.
        run: the tasks that `dvc repro` works on.
        course: quick runs the studies on embedded stand-ins, full on the course's own data where it is found.
        studies: the experiments that `dvc repro` runs.
        tasks: all that are declared.
    """

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    run: Annotated[tuple[str, ...], Field(min_length=1)]
    course: Literal["quick", "full"]
    studies: dict[str, StudySizes]
    tasks: dict[str, Task]

    def task(self, name: str) -> Task:
        """The task of that name.

        Raises:
            ParamsError: no task has it; the message lists the declared ones.
        """
        if name not in self.tasks:
            near = difflib.get_close_matches(name, self.tasks, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ParamsError(f"params.yaml: no task '{name}'; {hint}declared tasks: {', '.join(self.tasks)}")
        return self.tasks[name]


def _unknown(key: str, valid: list[str], noun: str = "key") -> str:
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"valid {noun}s: {', '.join(valid)}"
    return f"unknown {noun} '{key}'; {hint}"


def _refuse_unknown(found: list[str], valid: list[str], where: str) -> None:
    for key in found:
        if key not in valid:
            raise ParamsError(f"{where}: {_unknown(str(key), valid)}")


def load(path: Path | str = "params.yaml") -> Params:
    """Read and check a params file.

    Args:
        path: the YAML file.

    Raises:
        ParamsError: unreadable file, unknown or mistyped key, value out of range, unknown task in `run`.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run the command in the project's top folder") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected keys and values, got {type(raw).__name__}")
    return _resolve(raw, path)


def _resolve(raw: dict[str, Any], path: Path) -> Params:
    expected = ["seed", "run", "course", "studies", "tasks", *SHARED, *BY_KIND]
    _refuse_unknown(list(raw), expected, str(path))
    missing = [key for key in expected if key not in raw]
    if missing:
        raise ParamsError(f"{path}: missing key '{missing[0]}'")
    for section in (*SHARED, "studies", "tasks", *BY_KIND):
        if not isinstance(raw[section], dict):
            raise ParamsError(f"{path}: '{section}' must hold keys and values, got {raw[section]!r}")
    for section in BY_KIND:
        _refuse_unknown(list(raw[section]), list(get_args(Kind)), f"{path}: {section}")
    tasks = {name: _task(name, block, raw, path) for name, block in raw["tasks"].items()}
    shared = {key: raw[key] for key in ("seed", "run", "course", "studies")}
    params = _parse(Params, {**shared, "tasks": {}}, path, "")
    params = params.model_copy(update={"tasks": tasks})
    for name in params.run:
        params.task(name)
    return params


def _task(name: str, block: Any, raw: dict[str, Any], path: Path) -> Task:
    where = f"tasks.{name}"
    if not isinstance(block, dict) or block.get("kind") not in ("regression", "classification", "image"):
        raise ParamsError(f"{path}: {where}.kind must be regression, classification or image")
    kind = block["kind"]
    own = {key: value for key, value in block.items() if key not in (*SHARED, *BY_KIND)}
    valid = sorted((set(Task.model_fields) - {"name", "checks"}) | {"validate"})
    _refuse_unknown(list(own), valid, f"{path}: {where}")
    for section in (*SHARED, *BY_KIND):
        if section in BY_KIND and kind not in raw[section]:
            raise ParamsError(f"{path}: missing key '{section}.{kind}'")
        base = raw[section] if section in SHARED else raw[section][kind]
        model = _section_model(section, kind)
        _parse(model, base, path, section if section in SHARED else f"{section}.{kind}")
        over = block.get(section, {})
        if not isinstance(over, dict):
            raise ParamsError(f"{path}: {where}.{section} must hold keys and values, got {over!r}")
        merged = _merge(base, over)
        resolved = _parse(model, merged, path, f"{where}.{section}")
        own["checks" if section == "validate" else section] = resolved.model_dump()
    return _parse(Task, {"name": name, **own}, path, where)


def _section_model(section: str, kind: Kind) -> type[Strict]:
    models: dict[str, type[Strict]] = {
        "split": SplitParams,
        "validate": ValidateParams,
        "sweep": SweepParams,
        "train": TrainParams,
        "harden": HardenParams,
        "guard": ImageGuard if kind == "image" else TableGuard,
        "attack": AttackParams,
        "certify": CertifyParams,
        "gates": GatesParams,
    }
    return models[section]


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        # A block that names its kind anew stands alone.
        merged[key] = _merge(merged[key], value) if both and not TAGS & set(value) else value
    return merged


def _parse(model: type[M], data: Any, path: Path, where: str) -> M:
    try:
        # JSON mode is strict about numbers and words yet takes YAML's lists for tuples.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        found = error.errors()
        # A mistyped key leaves the right one missing too: the typo is what helps.
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        loc = first["loc"]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            valid = sorted(_model_at(model, loc[:-1]).model_fields)
            message, loc = _unknown(str(loc[-1]), valid), loc[:-1]
        elif first["type"] != "missing" and not isinstance(first["input"], dict):
            message += f"; got {first['input']!r}"
        key = ".".join([where, *(str(part) for part in loc)]).strip(".")
        raise ParamsError(f"{path}: {key}: {message}") from None
    except TypeError as error:
        raise ParamsError(f"{path}: {where}: {error}") from None


def _model_at(model: type[Strict], loc: tuple[int | str, ...]) -> type[Strict]:
    for part in loc:
        if part in model.model_fields:
            inner = _models_in(model.model_fields[str(part)].annotation)
            model = inner[0] if inner else model
            tagged = [each for each in inner if TAGS & set(each.model_fields)]
        elif isinstance(part, str):
            model = next((each for each in tagged if part in _tags(each)), model)
    return model


def _tags(model: type[Strict]) -> tuple[str, ...]:
    tag = model.model_fields.get("kind") or model.model_fields["method"]
    return get_args(tag.annotation)


def _models_in(annotation: Any) -> list[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _models_in(arg)]
