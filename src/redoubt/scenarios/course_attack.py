"""The attack as Hung-yi Lee's course teaches it: plain gradient descent on the input, then the "fix" step."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from redoubt.attacks.core import losses
from redoubt.attacks.core.base import GradientAttack
from redoubt.attacks.core.criteria import Criterion
from redoubt.attacks.core.geometry import distance, project
from redoubt.attacks.core.gradient import loss_gradient
from redoubt.attacks.core.losses import Loss
from redoubt.attacks.core.problem import AttackProblem, redrawn
from redoubt.core.types import PIXELS, Bounds, Floats


@dataclass(frozen=True)
class TowardFalse:
    """Away from the true class and toward one false class; `y` holds both, `(examples, 2)` = (true, false).

    Climbing the loss is the course's descent on L(x') = C(y', y_false) - C(y', y_true).
    """

    @property
    def is_classification(self) -> bool:
        """Logits."""
        return True

    def loss(self, outputs: tf.Tensor, y: tf.Tensor, kind: Loss = "cross_entropy") -> tf.Tensor:
        """The true class's loss less the false one's; of cross-entropies that is z_false - z_true, never flat."""
        loss = getattr(losses, kind)
        return loss(outputs, y[:, 0]) - loss(outputs, y[:, 1])

    def margin(self, outputs: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The false class's logit above the best other one."""
        return -losses.margin(outputs, y[:, 1])

    def is_adversarial(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        """The false class is the first choice."""
        return np.asarray(outputs).argmax(axis=1) == y[:, 1]

    def directions(self, outputs: Floats, y: NDArray[Any], count: int) -> tuple[Criterion, list[NDArray[Any]]]:
        """One way only, whatever the count."""
        return self, [y]


@dataclass(frozen=True, kw_only=True)
class GradientDescent(GradientAttack):
    """x' <- x' - eta * gradient of L, and after every step back to the nearest point of the ball.

    Unlike PGD it steps by the gradient as it is, not by its sign: where the loss is flat it stalls. L is the
    negative of the criterion's loss, so `Untargeted` descends on -C(y', y_true) and `TowardFalse` on the course's L.

    Attributes:
        steps: gradient steps, >= 1.
        step_size: eta as a share of eps: a gradient of length 1 per unit of `Bounds.scale` moves the input by
            step_size * eps. A huge one is FGSM in L-inf: the fix step then ends in a corner.
    """

    steps: int
    step_size: float = 0.1

    @property
    def starts_at_random(self) -> bool:
        """The course starts from the input itself."""
        return False

    def run(
        self, problem: AttackProblem, x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, eps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """See `GradientAttack.run`."""
        eta = self.step_size * eps * np.square(problem.bounds.scale)

        def step(index: tf.Tensor, x_adv: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x_adv = x_adv + eta * loss_gradient(problem, x_adv, y, redrawn(seed, index))
            return index + 1, project(x, x_adv, eps, problem.norm, problem.bounds)

        _, x_adv = tf.while_loop(lambda index, _: index < self.steps, step, (tf.constant(0), x))
        return x_adv


@dataclass(frozen=True, eq=False)
class SameLength:
    """One image changed twice by the same L2 length: why L-inf is nearer to what the eye measures.

    Attributes:
        original: the image, `(height, width, channels)`.
        spread: every pixel changed a little.
        local: the pixels of a square in the lower right corner changed a lot.
        l2: length of each change, by name.
        linf: largest change of a value, by name.
    """

    original: Floats
    spread: Floats
    local: Floats
    l2: dict[str, float]
    linf: dict[str, float]


def same_length(x: Floats, length: float, bounds: Bounds = PIXELS) -> SameLength:
    """Change an image by an L2 length, once everywhere and once in as few pixels of a corner as can hold it.

    Args:
        x: one image, `(height, width, channels)`, raw units.
        length: of both changes, > 0, in units of `bounds.scale`.
        bounds: the box of the values; each moves toward its farther end.

    Raises:
        ValueError: not an image, or a length that no change inside the box has.
    """
    if x.ndim != 3:
        raise ValueError(f"the image has shape {x.shape}; expected (height, width, channels)")
    up, down = bounds.upper - x, x - bounds.lower
    room = np.maximum(up, down) / bounds.scale
    toward = np.where(up >= down, 1.0, -1.0) * bounds.scale
    if not 0 < length <= room.min() * math.sqrt(x.size):
        raise ValueError(f"length is {length:g}; it must be > 0 and at most {room.min() * math.sqrt(x.size):g} here")
    everywhere = np.full(x.shape, length / math.sqrt(x.size))
    changed = {name: x + toward * size for name, size in (("spread", everywhere), ("local", _corner(room, length)))}
    spread, local = (changed[name].astype(np.float32) for name in ("spread", "local"))
    both = np.stack([spread, local]) - x
    l2, linf = (distance(both, norm, bounds).tolist() for norm in ("l2", "linf"))
    names = ("spread", "local")
    return SameLength(x, spread, local, dict(zip(names, l2, strict=True)), dict(zip(names, linf, strict=True)))


def _corner(room: NDArray[Any], length: float) -> NDArray[Any]:
    """Sizes of the changes, `(height, width, channels)`: equal in the smallest corner block with room for them."""
    sizes = np.zeros_like(room)
    for side in range(1, max(room.shape[:2]) + 1):
        block = room[-side:, -side:]
        if length / math.sqrt(block.size) <= block.min():
            sizes[-side:, -side:] = length / math.sqrt(block.size)
            break
    return sizes
