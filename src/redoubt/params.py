"""params.yaml, parsed once into frozen, strict types that refuse unknown keys."""

import difflib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from redoubt.bundle.types import NAME_RULE, GuardDraws, Kind, Name, Number, Positive, is_name

Norm = Literal["linf", "l2"]
Balance = Literal["none", "weights"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Ends that no sensible run comes near: a figure above them is a slip, or meant to use up somebody's memory or time.
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
DEEPEST = 16
# Of a perturbation: pixels in [0, 1], or standard deviations of a feature on the training rows.
Size = Positive


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError("the first number must be below the second")
    return ends


Range = Annotated[tuple[Number, Number], AfterValidator(_rising)]

# What the project itself keeps beside the tasks' own folders and experiments, by names compared without case.
RESERVED = {
    "attacks": "reports/attacks holds what `redoubt attack` writes",
    "certificates": "reports/certificates holds what `redoubt certify` writes",
    "course": "MLflow's experiment 'course' holds the studies",
    "sections": "reports/sections holds a page of every task",
    "studies": "reports/studies holds the studies",
}


BY_KIND = ("sweep", "train", "harden", "guard", "eps", "attack", "certify", "gates")
SHARED = ("split", "validate")
# The largest params file that is read, its depth, and its values with aliases written out.
YAML_BYTES, YAML_DEPTH, YAML_VALUES = 2**20, 50, 100_000
# Keys that tell the members of a union apart.
TAGS = {"kind", "method"}
# Keys that a section once had, and what says the same now.
REPLACED = {
    ("harden", "eps"): "a recipe trains at the task's `eps: {linf: ..., l2: ...}`, which is also attacked, certified"
    " and gated; say `train_eps` to train at another size",
    ("attack", "budget"): "the size that is gated and reported is the section `eps: {linf: ..., l2: ...}`, by kind or"
    " in the task's own block",
}


class ParamsError(ValueError):
    """A params.yaml that cannot be used; the message names the file, the key and the fix."""


def _all_rising(sizes: tuple[float, ...]) -> tuple[float, ...]:
    if list(sizes) != sorted(set(sizes)):
        raise ValueError("the numbers must rise strictly")
    return sizes


Curve = Annotated[tuple[Size, ...], AfterValidator(_all_rising)]


class Strict(BaseModel):
    """Frozen, strictly typed, refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


M = TypeVar("M", bound=Strict)


class Eps(Strict):
    """The task's threat: per norm the largest perturbation that is trained for, attacked, certified and gated.

    Attributes:
        linf: of each pixel or feature by itself.
        l2: of all of them together.
    """

    linf: Size
    l2: Size

    def of(self, norm: Norm) -> float:
        """The eps of one norm."""
        return self.linf if norm == "linf" else self.l2


class SplitParams(Strict):
    """Shares of all rows held out, and N of the N-fold cross-validation on the rest."""

    test: Annotated[float, Field(gt=0.0, lt=0.9)]
    validation: Annotated[float, Field(gt=0.0, lt=0.9)]
    folds: Annotated[int, Field(ge=2, le=1000)]

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
    units: Annotated[tuple[Width, ...], Field(min_length=1, max_length=DEEPEST)]
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
    filters: Annotated[tuple[Width, ...], Field(min_length=1, max_length=DEEPEST)]
    units: Annotated[tuple[Width, ...], Field(max_length=DEEPEST)] = ()
    kernel: Annotated[int, Field(ge=1, le=64)] = 3
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


class Sized(Strict):
    """What perturbs while it trains, as far as the task's eps reaches.

    Attributes:
        train_eps: reaches so far instead; everything else about the task still uses its eps.
    """

    train_eps: Size | None = None

    @property
    def trained_norm(self) -> Norm:
        """In which it perturbs."""
        return "linf"

    def trained_at(self, eps: Eps) -> float:
        """How far it perturbs in training, given the task's eps."""
        return eps.of(self.trained_norm) if self.train_eps is None else self.train_eps


class Threat(Sized):
    """A norm in which training perturbs."""

    norm: Norm = "linf"

    @property
    def trained_norm(self) -> Norm:
        """The one that is declared."""
        return self.norm


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


class Ibp(Augmented, Sized):
    """Certified training by interval bounds (arXiv 1810.12715), L-inf.

    Attributes:
        reach: size of the bounds in training, as a multiple of eps: a little more than is certified helps.
        natural: weight of the loss on single points before and after the ramp; the rest is on the bounds.
        regularize: weight of Shi et al.'s regularizers while eps rises (arXiv 2103.17268).
        steps: of PGD on the single points (MTL-IBP, arXiv 2305.13991); 0 takes the inputs themselves.
    """

    method: Literal["ibp"]
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


class SmoothAdv(UnderNoise, Sized):
    """Noise round points where the smoothed network gives way (arXiv 1906.04584), L2.

    Attributes:
        steps: of the attack.
        draws: of noise per gradient.
    """

    method: Literal["smoothadv"]
    steps: Count = 2
    draws: Count = 2

    @property
    def trained_norm(self) -> Norm:
        """Radii of randomized smoothing are in L2."""
        return "l2"


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
    draws: GuardDraws
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]


class TableGuard(Strict):
    """Bit depth over each feature's valid range, noise in units of its standard deviation, number of draws."""

    bits: Annotated[int, Field(ge=1, le=16)]
    noise: Positive
    draws: GuardDraws
    false_positives: Annotated[float, Field(gt=0.0, lt=0.5)]


class AttackParams(Strict):
    """Further eps per norm, the effort of the attackers, and how many rows are attacked.

    Attributes:
        linf: points of the robustness curve beside the task's eps, rising.
        l2: likewise.
        points: rows attacked.
        steps: of the gradient attacks.
        restarts: of PGD.
        eot: gradients through the guard averaged per step.
        queries: what Square may ask per row.
    """

    linf: Curve
    l2: Curve
    points: Count
    steps: Count
    restarts: Count
    eot: Count
    queries: Count

    def grid(self, norm: Norm, eps: Eps) -> tuple[float, ...]:
        """Every eps of one norm, the task's among them, rising."""
        return tuple(sorted({*(self.linf if norm == "linf" else self.l2), eps.of(norm)}))


class CertifyParams(Strict):
    """Randomized smoothing (arXiv 1902.02918): noise, sample sizes, failure probability, radii shown, rows.

    The task's own L2 eps is a radius too. Interval bounds need none of this: they are taken at every L-inf eps.
    """

    sigma: Positive
    radii: tuple[Positive, ...]
    selection_draws: Count
    draws: Count
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)]
    points: Count

    def grid(self, eps: Eps) -> tuple[float, ...]:
        """Every radius, the task's L2 eps among them, rising."""
        return tuple(sorted({*self.radii, eps.l2}))

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

    Clean is balanced accuracy, of a number R2 against the mean of the training set; robust is the same under the
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

    name: Name
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
    eps: Eps
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
    run: Annotated[tuple[Name, ...], Field(min_length=1)]
    course: Literal["quick", "full"]
    studies: dict[Name, StudySizes]
    tasks: dict[Name, Task]

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
    raw = _read_yaml(path)
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected keys and values, got {type(raw).__name__}")
    return _resolve(raw, path)


def _read_yaml(path: Path) -> Any:
    """What a YAML file holds; one that is too large, too deep or grows by its aliases is refused before it is built."""
    try:
        if path.stat().st_size > YAML_BYTES:
            raise ParamsError(
                f"{path}: the file has {path.stat().st_size:,} bytes, at most {YAML_BYTES:,} are read; "
                "keep settings alone in it"
            )
        text = path.read_text(encoding="utf-8")
        _check_size(text, path)
        return yaml.safe_load(text)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run the command in the project's top folder") from None
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from None
    except ParamsError:
        raise
    # A number of 5,000 digits or a 31st of February is a plain ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None


def _check_size(text: str, path: Path) -> None:
    """Walk through the events of a YAML text, which builds nothing, and count its values with aliases written out."""
    depth, values, sizes = 0, 0, dict[str | None, int]()
    opened: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{path}: line {event.start_mark.line + 1 if event.start_mark else '?'}"
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = opened.pop()
            sizes |= {anchor: values - before} if anchor else {}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in opened}:
                raise ParamsError(f"{where}: '*{event.anchor}' holds itself")
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                opened.append((event.anchor, values - 1))
        if depth > YAML_DEPTH:
            raise ParamsError(f"{where}: values nested more than {YAML_DEPTH} deep; settings need no more than 8")
        if values > YAML_VALUES:
            raise ParamsError(f"{where}: more than {YAML_VALUES:,} values, aliases written out; leave some away")


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
    _check_names(raw, path)
    tasks = {name: _task(name, block, raw, path) for name, block in raw["tasks"].items()}
    shared = {key: raw[key] for key in ("seed", "run", "course", "studies")}
    params = _parse(Params, {**shared, "tasks": {}}, path, "")
    params = params.model_copy(update={"tasks": tasks})
    for place, name in enumerate(params.run):
        params.task(name)
        if name in params.run[:place]:
            raise ParamsError(f"{path}: run names task '{name}' twice; leave one of them out")
    return params


def _check_names(raw: dict[str, Any], path: Path) -> None:
    """Refuse names that cannot be a folder's, or whose folder is another's.

    Raises:
        ParamsError: not a name, the name of something that the pipeline keeps itself, or two that differ in case alone.
    """
    for section in ("studies", "tasks"):
        for name in raw[section]:
            if not isinstance(name, str):
                kind = type(name).__name__
                raise ParamsError(f"{path}: {section}: YAML reads {name!r} as {kind}; put the name in quotes")
            if not is_name(name):
                raise ParamsError(f"{path}: {section}: {NAME_RULE}; got {name[:80]!r}")
    known: dict[str, str] = {}
    for name in raw["tasks"]:
        if name.lower() in RESERVED:
            raise ParamsError(f"{path}: tasks: '{name}' is taken: {RESERVED[name.lower()]}; choose another name")
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise ParamsError(
                f"{path}: tasks: '{other}' and '{name}' differ in case alone, and would share their folders on many"
                " machines; rename one of them"
            )


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
        "eps": Eps,
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
            message, loc = _replaced(where, str(loc[-1])) or _unknown(str(loc[-1]), valid), loc[:-1]
        elif first["type"] != "missing" and not isinstance(first["input"], dict):
            message += f"; got {first['input']!r}"
            if first["type"] == "string_type" and isinstance(first["input"], (bool, int, float)):
                message += "; YAML takes no, yes, on, off and digits for flags and numbers: put the word in quotes"
        key = ".".join([where, *(str(part) for part in loc)]).strip(".")
        raise ParamsError(f"{path}: {key}: {message}") from None
    except TypeError as error:
        raise ParamsError(f"{path}: {where}: {error}") from None


def _replaced(where: str, key: str) -> str | None:
    """What to write instead of a key that a section once had."""
    parts = where.split(".")
    now = REPLACED.get((parts[-1] if parts[0] == "tasks" else parts[0], key))
    return f"'{key}' is no longer a key here: {now}" if now else None


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
