"""One image attacked while somebody waits: FGSM or PGD on a bundle's network, or on the network and its guard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from redoubt.attacks.core.base import Attack
from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD, fgsm
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.core.types import PIXELS, Floats
from redoubt.defenses.adaptive import adaptive_outputs
from redoubt.targets.network_file import of_bundle

Name = Literal["fgsm", "pgd"]
STEPS = 40


class LiveAttacks:
    """Gradient attacks on the bundles of some folders; what an attack compiles is kept for the next one."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Read the networks, and the configurations of their guards.

        Raises:
            BundleError: a configuration cannot be read.
            NetworkError: a network cannot be read.
        """
        self._guards = {name: read_typed(folder / "guard.json", GuardConfig) for name, folder in folders.items()}
        self._networks = {name: of_bundle(folder) for name, folder in folders.items()}
        self._attacks: dict[Name, Attack] = {"fgsm": fgsm(), "pgd": PGD(steps=STEPS)}
        self._problems: dict[tuple[str, bool], AttackProblem] = {}

    def attack(self, attack: Name, target: tuple[str, bool], x: Floats, label: int, eps: float) -> Floats:
        """Perturb one image within L-inf eps.

        Args:
            attack: which.
            target: name of the bundle, and whether the attacker differentiates its guard too (BPDA and EOT).
            x: the image in [0, 1], `(1, height, width, channels)`.
            label: number of the class that the attacker wants to leave.
            eps: largest change of a pixel, >= 0.

        Returns:
            The adversarial example, in the shape of x.

        Raises:
            AttackError: an image outside [0, 1], or a class that there is none of.
        """
        y = np.array([label], np.int64)
        return self._attacks[attack](self._problem(target), x, y, eps=eps, seed=0)

    def _problem(self, target: tuple[str, bool]) -> AttackProblem:
        if target not in self._problems:
            name, knows_guard = target
            network = self._networks[name]
            outputs = adaptive_outputs(network, self._guards[name]) if knows_guard else of_network(network)
            self._problems[target] = AttackProblem(outputs, Untargeted(), "linf", PIXELS, f"{name} live")
        return self._problems[target]
