"""Every attack by name: what it must know, what it does, where it was published; TensorFlow waits until one is made."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from redoubt.params import Norm

if TYPE_CHECKING:
    from redoubt.attacks.base import Attack
    from redoubt.attacks.losses import Loss

Knowledge = Literal["nothing", "gradients", "scores", "labels", "another network"]


class CatalogueError(ValueError):
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
        points: rows it takes if nobody says how many.
        make: the attack; None where the aim is not one perturbation per row, so that it needs a procedure of its own.
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
    from redoubt.attacks.gradient import fgsm

    return fgsm()


def _bim(*, steps: int) -> "Attack":
    from redoubt.attacks.gradient import bim

    return bim(steps)


def _mim(*, steps: int) -> "Attack":
    from redoubt.attacks.gradient import PGD

    return PGD(steps=steps, step_size=1.0 / steps, random_start=False, momentum=1.0)


def _pgd(*, steps: int, restarts: int) -> "Attack":
    from redoubt.attacks.gradient import PGD, Restarts

    attack = PGD(steps=steps)
    return attack if restarts == 1 else Restarts(attack, restarts)


def _corner(*, steps: int) -> "Attack":
    from redoubt.attacks.gradient import corner

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


def _physical(*, steps: int) -> "Attack":
    from redoubt.attacks.transformations import Transformations
    from redoubt.scenarios.physical import Physical

    camera = Transformations(rotation=15, scale=0.1, shift=0.05, brightness=0.1, contrast=0.2, blur=0.5, noise=0.02)
    return Physical(transformations=camera, steps=steps)


_ENTRIES = (
    Entry(
        name="noise",
        knows="nothing",
        says="A random corner (L-inf) or direction (L2) of full size: what every attack must beat.",
        paper="-",
        make=_noise,
    ),
    Entry(
        name="fgsm",
        knows="gradients",
        says="One step along the sign of the gradient, from the input to a corner of the ball.",
        paper="arXiv 1412.6572",
        make=_fgsm,
    ),
    Entry(
        name="corner",
        knows="gradients",
        says="FGSM over and over: however small the gradient, every step goes to a corner of the ball.",
        paper="arXiv 1412.6572",
        options={"steps": 10},
        make=_corner,
    ),
    Entry(
        name="bim",
        knows="gradients",
        says="Many small FGSM steps from the input, eps in all.",
        paper="arXiv 1607.02533",
        options={"steps": 10},
        make=_bim,
    ),
    Entry(
        name="mim",
        knows="gradients",
        says="BIM with momentum: it keeps its direction where the gradient wavers, and transfers better.",
        paper="arXiv 1710.06081",
        options={"steps": 10},
        make=_mim,
    ),
    Entry(
        name="pgd",
        knows="gradients",
        says="Climbs the loss step by step from a random point, pulled back into the ball after each.",
        paper="arXiv 1706.06083",
        options={"steps": 40, "restarts": 1},
        make=_pgd,
    ),
    Entry(
        name="course",
        knows="gradients",
        says="Hung-yi Lee's: gradient descent on C(y', y_false) - C(y', y_true), pulled back by the fix step.",
        paper="Machine Learning, NTU",
        options={"steps": 100},
        make=_course,
    ),
    Entry(
        name="apgd-ce",
        knows="gradients",
        says="Auto-PGD on the cross-entropy: PGD that halves its step by itself wherever the climb stalls.",
        paper="arXiv 2003.01690",
        options={"steps": 100},
        make=_apgd("cross_entropy"),
    ),
    Entry(
        name="apgd-dlr",
        knows="gradients",
        says="Auto-PGD on a ratio of logits, which stays steep where a sure network's cross-entropy goes flat.",
        paper="arXiv 2003.01690",
        options={"steps": 100},
        make=_apgd("dlr"),
    ),
    Entry(
        name="apgd-t",
        knows="gradients",
        says="Auto-PGD towards each of the nine likeliest wrong classes in turn.",
        paper="arXiv 2003.01690",
        options={"steps": 100},
        make=_apgd_t,
    ),
    Entry(
        name="ensemble",
        knows="gradients",
        says="The worst case of APGD-CE, APGD-T, Square and PGD restarts, each on the rows still standing.",
        paper="arXiv 2003.01690",
        options={"steps": 100, "restarts": 5, "queries": 1000},
        make=_ensemble,
    ),
    Entry(
        name="carlini-wagner",
        knows="gradients",
        says="Seeks the smallest L2 perturbation that wins; eps only says which of them count.",
        paper="arXiv 1608.04644",
        options={"steps": 1000},
        norm="l2",
        make=_carlini_wagner,
    ),
    Entry(
        name="minimal",
        knows="gradients",
        says="The smallest eps, row by row, at which PGD wins, by bisection below the eps given.",
        paper="-",
        options={"steps": 40},
    ),
    Entry(
        name="landscape",
        knows="gradients",
        says="Walks to eps along chance, the gradient and PGD: chance changes little, the others flip the answer.",
        paper="arXiv 1611.02770",
        options={"steps": 40},
    ),
    Entry(
        name="same-length",
        knows="nothing",
        says="One L2 length over all pixels, or in a corner: the eye sees the corner, as L-inf does; eps is L2 here.",
        paper="Machine Learning, NTU",
        ignores=frozenset({"norm", "targeted", "knows_guard"}),
        norm="l2",
    ),
    Entry(
        name="square",
        knows="scores",
        says="Random search: changes one square after another and keeps what lowers the true class's lead.",
        paper="arXiv 1912.00049",
        options={"queries": 1000},
        make=_square,
    ),
    Entry(
        name="hopskipjump",
        knows="labels",
        says="Walks along the decision boundary to a near wrong answer, seeing nothing but which class is answered.",
        paper="arXiv 1904.02144",
        options={"queries": 1000},
        make=_hopskipjump,
    ),
    Entry(
        name="transfer",
        knows="another network",
        says="PGD on networks of the attacker's own (--proxy), tried on the target: black box as taught.",
        paper="arXiv 1611.02770",
        options={"steps": 40, "restarts": 1},
        make=_pgd,
    ),
    Entry(
        name="transfer-matrix",
        knows="another network",
        says="PGD on the target and on each --proxy, or on networks it trains itself: who misleads whom.",
        paper="arXiv 1611.02770",
        options={"steps": 40},
        ignores=frozenset({"targeted"}),
        points=600,
    ),
    Entry(
        name="substitute",
        knows="labels",
        says="A few unlabelled inputs and an open API: grows a copy of the target from its answers and attacks that.",
        paper="arXiv 1602.02697",
        options={"queries": 2000},
        ignores=frozenset({"targeted"}),
    ),
    Entry(
        name="universal",
        knows="gradients",
        says="One perturbation for most inputs, learned on one half of the rows and measured on the other.",
        paper="arXiv 1610.08401",
        options={"steps": 200},
        ignores=frozenset({"targeted"}),
    ),
    Entry(
        name="physical",
        knows="gradients",
        says="Survives printer and camera: climbs the loss expected over turns, shifts, light, blur and sensor noise.",
        paper="arXiv 1707.07397",
        options={"steps": 100},
        make=_physical,
    ),
    Entry(
        name="patch",
        knows="gradients",
        says="One sticker that misleads wherever it is put, at any angle, learned on one half of the pictures.",
        paper="arXiv 1712.09665",
        options={"steps": 300},
        ignores=frozenset({"eps", "norm"}),
    ),
    Entry(
        name="reprogram",
        knows="gradients",
        says="A frame of noise makes a picture network count squares instead, its weights untouched.",
        paper="arXiv 1806.11146",
        options={"steps": 1000},
        ignores=frozenset({"eps", "norm", "targeted", "data", "task", "points", "knows_guard"}),
    ),
)
CATALOGUE: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
