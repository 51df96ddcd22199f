"""The guard's draws, made for many inputs at once: for one alone NumPy takes longer to be asked than to make them."""

from threading import Lock

from redoubt.bundle.model.entropy import Entropy
from redoubt.bundle.model.guard_config import Draws, GuardConfig

# Inputs that draws are made for at once, and most of one run that are given of them.
MADE, MOST = 64, 8


class Stock:
    """Draws of one guard that nobody was given yet, fresh from the system."""

    def __init__(self, guard: GuardConfig) -> None:
        """Make none yet."""
        self._guard, self._made, self._given = guard, Draws(), MADE
        # The threads of BentoML's own predictions ask too, and nothing may be given twice.
        self._lock = Lock()

    def take(self, inputs: int) -> Draws:
        """Draws for so many inputs, as of `GuardConfig.draw`; given out once."""
        if inputs > MOST:
            return self._guard.draw(Entropy(), inputs)
        with self._lock:
            if self._given + inputs > MADE:
                self._made, self._given = self._guard.draw(Entropy(), MADE), 0
            begin, made = self._given, self._made
            self._given += inputs
        return {name: each[begin : begin + inputs] for name, each in made.items()}
