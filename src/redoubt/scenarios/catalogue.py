"""Every attack by name: what it must know, what it does, where it was published; TensorFlow waits until one is made."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from redoubt.core.errors import RedoubtError
from redoubt.core.types import Norm

if TYPE_CHECKING:
    from redoubt.attacks.core.base import Attack
    from redoubt.attacks.core.losses import Loss

Knowledge = Literal["nothing", "gradients", "scores", "labels", "another network"]


class CatalogueError(RedoubtError):
    """No attack has that name."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to be known of an attack before it is run.

    Attributes:
        name: on the command line.
        knows: what the attacker must know of the network; everybody may ask it.
        says: what it does, one sentence.
        paper: where it was published.
        options: what can be set, with its default; `make` takes these by keyword.
        ignores: general options that mean nothing to it.
        norm: the one it is made for, if any.
        points: examples it takes if nobody says how many.
        make: the attack; None where the aim is not one perturbation per example, so that it needs a procedure of its
            own.
    """

    name: str
    knows: Knowledge
    says: str
    paper: str
    options: Mapping[str, int] = field(default_factory=dict)
    ignores: frozenset[str] = frozenset()
    norm: Norm | None = None
    points: int = 100
    make: "Callable[..., Attack] | None" = None


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        CatalogueError: nobody has it; names the nearest, and all.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise CatalogueError(f"no attack '{name}'; {hint}known attacks: {', '.join(CATALOGUE)}")


def _noise() -> "Attack":
    from redoubt.attacks.noise import Noise

    return Noise()


def _fgsm() -> "Attack":
    from redoubt.attacks.core.gradient import fgsm

    return fgsm()


def _bim(*, steps: int) -> "Attack":
    from redoubt.attacks.core.gradient import bim

    return bim(steps)


def _mim(*, steps: int) -> "Attack":
    from redoubt.attacks.core.gradient import PGD

    return PGD(steps=steps, step_size=1.0 / steps, random_start=False, momentum=1.0)


def _pgd(*, steps: int, restarts: int) -> "Attack":
    from redoubt.attacks.core.gradient import PGD, Restarts

    attack = PGD(steps=steps)
    return attack if restarts == 1 else Restarts(attack, restarts)


def _corner(*, steps: int) -> "Attack":
    from redoubt.attacks.core.gradient import corner

    return corner(steps)


def _course(*, steps: int) -> "Attack":
    from redoubt.scenarios.course_attack import GradientDescent

    return GradientDescent(steps=steps)


def _apgd(loss: "Loss") -> "Callable[..., Attack]":
    def make(*, steps: int) -> "Attack":
        from redoubt.attacks.apgd import APGD

        return APGD(steps=steps, loss=loss)

    return make


def _apgd_t(*, steps: int) -> "Attack":
    from redoubt.attacks.apgd import APGDT

    return APGDT(steps=steps)


def _ensemble(*, steps: int, restarts: int, queries: int) -> "Attack":
    from redoubt.attacks.ensemble import Ensemble

    return Ensemble(steps=steps, restarts=restarts, queries=queries)


def _carlini_wagner(*, steps: int) -> "Attack":
    from redoubt.attacks.carlini_wagner import CarliniWagner

    return CarliniWagner(steps=steps)


def _square(*, queries: int) -> "Attack":
    from redoubt.attacks.square import Square

    return Square(queries=queries)


def _hopskipjump(*, queries: int) -> "Attack":
    from redoubt.attacks.hopskipjump import HopSkipJump

    return HopSkipJump(queries=queries)


def _genetic(*, queries: int) -> "Attack":
    from redoubt.attacks.genetic import GeneticSearch

    return GeneticSearch(queries=queries)


def _physical(*, steps: int) -> "Attack":
    from redoubt.attacks.transformations import Transformations
    from redoubt.scenarios.physical import Physical

    camera = Transformations(rotation=15, scale=0.1, shift=0.05, brightness=0.1, contrast=0.2, blur=0.5, noise=0.02)
    return Physical(transformations=camera, steps=steps)


_ENTRIES = (
    Entry(
        name="noise",
        knows="nothing",
        says="Random perturbation of full size, a corner (L-inf) or a direction (L2): the baseline of every attack.",
        paper="-",
        make=_noise,
    ),
    Entry(
        name="fgsm",
        knows="gradients",
        says="Fast gradient sign method: one step along the sign of the gradient.",
        paper="arXiv 1412.6572",
        make=_fgsm,
    ),
    Entry(
        name="corner",
        knows="gradients",
        says="Iterated FGSM with full-size steps: every step ends in a corner of the ball.",
        paper="arXiv 1412.6572",
        options={"steps": 10},
        make=_corner,
    ),
    Entry(
        name="bim",
        knows="gradients",
        says="Basic iterative method: small FGSM steps from the input, eps in total.",
        paper="arXiv 1607.02533",
        options={"steps": 10},
        make=_bim,
    ),
    Entry(
        name="mim",
        knows="gradients",
        says="Momentum iterative method: BIM with momentum, which transfers better.",
        paper="arXiv 1710.06081",
        options={"steps": 10},
        make=_mim,
    ),
    Entry(
        name="pgd",
        knows="gradients",
        says="Projected gradient descent from a random start.",
        paper="arXiv 1706.06083",
        options={"steps": 40, "restarts": 1},
        make=_pgd,
    ),
    Entry(
        name="course",
        knows="gradients",
        says="Hung-yi Lee's: gradient descent on C(y', y_false) - C(y', y_true), projected by the fix step.",
        paper="Machine Learning, NTU",
        options={"steps": 100},
        make=_course,
    ),
    Entry(
        name="apgd-ce",
        knows="gradients",
        says="Auto-PGD on cross-entropy: the step size halves where progress stalls.",
        paper="arXiv 2003.01690",
        options={"steps": 100},
        make=_apgd("cross_entropy"),
    ),
    Entry(
        name="apgd-dlr",
        knows="gradients",
        says="Auto-PGD on the difference-of-logits ratio, which does not vanish for confident networks.",
        paper="arXiv 2003.01690",
        options={"steps": 100},
        make=_apgd("dlr"),
    ),
    Entry(
        name="apgd-t",
        knows="gradients",
        says="Targeted Auto-PGD on the nine most likely wrong classes in turn.",
        paper="arXiv 2003.01690",
        options={"steps": 100},
        make=_apgd_t,
    ),
    Entry(
        name="ensemble",
        knows="gradients",
        says="Worst case of APGD-CE, APGD-T, Square and PGD restarts, each on the examples still robust.",
        paper="arXiv 2003.01690",
        options={"steps": 100, "restarts": 5, "queries": 1000},
        make=_ensemble,
    ),
    Entry(
        name="carlini-wagner",
        knows="gradients",
        says="Minimizes the L2 norm of an adversarial perturbation; eps only decides which of them count.",
        paper="arXiv 1608.04644",
        options={"steps": 1000},
        norm="l2",
        make=_carlini_wagner,
    ),
    Entry(
        name="minimal",
        knows="gradients",
        says="The minimal adversarial eps of each example under PGD, by bisection up to the eps given.",
        paper="-",
        options={"steps": 40},
    ),
    Entry(
        name="landscape",
        knows="gradients",
        says="Loss landscape: loss and prediction along random, gradient and PGD directions up to eps.",
        paper="arXiv 1611.02770",
        options={"steps": 40},
    ),
    Entry(
        name="same-length",
        knows="nothing",
        says="One L2 norm spread over all pixels or put into a corner: perceptibility follows L-inf; eps is L2 here.",
        paper="Machine Learning, NTU",
        ignores=frozenset({"norm", "targeted", "knows_guard"}),
        norm="l2",
    ),
    Entry(
        name="square",
        knows="scores",
        says="Score-based random search over square-shaped perturbations that lower the margin.",
        paper="arXiv 1912.00049",
        options={"queries": 1000},
        make=_square,
    ),
    Entry(
        name="genetic",
        knows="scores",
        says="Evolutionary search after MOEVA, made for tables: candidates that break a relation are repaired first.",
        paper="arXiv 2112.01156",
        options={"queries": 1000},
        make=_genetic,
    ),
    Entry(
        name="hopskipjump",
        knows="labels",
        says="Decision-based: follows the decision boundary towards the input, from predicted labels alone.",
        paper="arXiv 1904.02144",
        options={"queries": 1000},
        make=_hopskipjump,
    ),
    Entry(
        name="transfer",
        knows="another network",
        says="Transfer attack: PGD on the attacker's own networks (--proxy), evaluated on the target.",
        paper="arXiv 1611.02770",
        options={"steps": 40, "restarts": 1},
        make=_pgd,
    ),
    Entry(
        name="transfer-matrix",
        knows="another network",
        says="Transferability between the target and each --proxy, or proxies that it trains itself.",
        paper="arXiv 1611.02770",
        options={"steps": 40},
        ignores=frozenset({"targeted"}),
        points=600,
    ),
    Entry(
        name="substitute",
        knows="labels",
        says="Model extraction by Jacobian augmentation through an open API, then a transfer attack from the copy.",
        paper="arXiv 1602.02697",
        options={"queries": 2000},
        ignores=frozenset({"targeted"}),
    ),
    Entry(
        name="universal",
        knows="gradients",
        says="Universal perturbation: one for all inputs, trained on half of the examples, measured on the rest.",
        paper="arXiv 1610.08401",
        options={"steps": 200},
        ignores=frozenset({"targeted"}),
    ),
    Entry(
        name="physical",
        knows="gradients",
        says="Physical-world attack: maximizes the loss expected over rotation, shift, light, blur and noise (EOT).",
        paper="arXiv 1707.07397",
        options={"steps": 100},
        make=_physical,
    ),
    Entry(
        name="patch",
        knows="gradients",
        says="Adversarial patch: fools at any place and angle, trained on half of the images.",
        paper="arXiv 1712.09665",
        options={"steps": 300},
        ignores=frozenset({"eps", "norm"}),
    ),
    Entry(
        name="reprogram",
        knows="gradients",
        says="Adversarial reprogramming: a frame of noise makes an image classifier count squares.",
        paper="arXiv 1806.11146",
        options={"steps": 1000},
        ignores=frozenset({"eps", "norm", "targeted", "data", "task", "points", "knows_guard"}),
    ),
)
CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
