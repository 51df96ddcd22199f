"""The recipes of hardened models: how each is trained, and at which size."""

from typing import Annotated, Literal

from pydantic import Field

from redoubt.bundle.base.types import Positive
from redoubt.core.types import Norm
from redoubt.params.settings.base import NORMS, Count, Share, Size, Strict
from redoubt.params.settings.networks import ModelParams
from redoubt.params.settings.sections import HARDENED, Eps


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


class TrainedThreat(Sized):
    """A norm in which training perturbs."""

    norm: Norm = "linf"

    @property
    def trained_norm(self) -> Norm:
        """The one that is declared."""
        return self.norm


class Pgd(Augmented, TrainedThreat):
    """Adversarial training by PGD (arXiv 1706.06083).

    Attributes:
        steps: of the attack.
        also: further threats; batches meet all of them in turn, since what withstands one may fall to another.
    """

    method: Literal["pgd"]
    steps: Count = 5
    also: tuple[TrainedThreat, ...] = ()


class Fast(Augmented, TrainedThreat):
    """One step from a random start (arXiv 2001.03994), stopped when PGD on held-out training rows says it overfits.

    Attributes:
        step: of the attack, as a share of eps.
        held_out: share of the training rows that only watch.
    """

    method: Literal["fast"]
    step: Positive = 1.25
    held_out: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05


class Free(Recipe, TrainedThreat):
    """Free adversarial training (arXiv 1904.12843).

    Attributes:
        replays: times each batch is given in a row; there are so many times fewer epochs.
    """

    method: Literal["free"]
    replays: Count = 4


class Trades(Augmented, TrainedThreat):
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
AnyRecipe = Annotated[Pgd | Fast | Free | Trades | Ibp | Gaussian | SmoothAdv, Field(discriminator="method")]


class HardenParams(Strict):
    """A recipe per hardened model; the adversarial one's threat is the one that the gates look at."""

    adversarial: Adversarial
    certified: Ibp
    smoothed: ForSmoothing

    @property
    def norm(self) -> Norm:
        """In which the task is hardened."""
        return self.adversarial.norm

    def recipe(self, name: str) -> AnyRecipe:
        """The recipe of one of `HARDENED`."""
        return {"adversarial": self.adversarial, "certified": self.certified, "smoothed": self.smoothed}[name]

    def trained_elsewhere(self, eps: Eps) -> list[str]:
        """One sentence per hardened model that trains at another size than the task's eps."""
        return [said for name in HARDENED for said in trained_elsewhere(name, self.recipe(name), eps)]


def trained_elsewhere(name: str, recipe: AnyRecipe, eps: Eps) -> list[str]:
    """A sentence for each size other than the task's eps at which a model trains."""
    sizes = [recipe, *(recipe.also if isinstance(recipe, Pgd) else ())] if isinstance(recipe, Sized) else []
    said = []
    for each in sizes:
        norm, size, attacked = each.trained_norm, each.trained_at(eps), eps.of(each.trained_norm)
        if size != attacked:
            said.append(f"{name} is trained at {NORMS[norm]} {size:g}; attacked and certified at {attacked:g}")
    return said
