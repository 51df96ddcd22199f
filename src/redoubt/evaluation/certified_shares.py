"""Which share of the test examples is certified: by interval bounds per L-inf eps, by smoothing per L2 radius."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.certify.randomized_smoothing import certify_classes, certify_numbers
from redoubt.core.types import Batch, Bounds, Floats
from redoubt.evaluation.cache import Arrays, EvaluationCache
from redoubt.evaluation.certification import checked_network
from redoubt.evaluation.metrics import column_score, rate
from redoubt.params.settings.stages import CertifySettings
from redoubt.perturbable import Immovable, immovable
from redoubt.progress import progress_bar

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class CertifiedShares:
    """Measures the certified shares of any model on the same examples.

    Attributes:
        schema: of the task.
        test: the whole test split.
        smoothed: the examples of it that randomized smoothing looks at.
        box: the bounds of the training examples; they are widened to hold those that are certified.
        target_mean: of the training examples' numbers, by which a score is told from that of a constant.
        cache: what is known of a model that has not changed.
    """

    settings: CertifySettings
    schema: Schema
    test: Batch
    smoothed: Batch
    box: Bounds
    target_mean: float
    cache: EvaluationCache

    def measure(self, guarded: GuardedModel, label: str, network: "keras.Model | None" = None) -> dict[str, Any]:
        """Every kind of certificate for the network alone.

        Args:
            guarded: the model.
            label: of a progress bar.
            network: the model's, to be verified completely too; None leaves that out.

        Raises:
            RefutedError: the network misclassifies a certified example, at itself or at a random point of its ball.
        """
        smoothing = self._classes if self.schema.is_classification else self._numbers
        found = {"smoothing": smoothing(guarded, label), "interval": self._interval(guarded)}
        return {**found, "complete": None if network is None else self._complete(guarded, network)}

    def _complete(self, guarded: GuardedModel, network: "keras.Model") -> dict[str, Any] | None:
        """How many of the whole test split are proven, refuted or undecided within the task's L-inf eps."""
        from redoubt.evaluation.complete import Terms, verdicts

        terms = Terms(self.settings.eps.linf, self.settings.tolerance, self.settings.certify.rounds, self.settings.seed)
        fixed = self._immovable(self.test, terms.eps)
        if fixed and fixed.everything:
            return None
        intervals, bounds = self._certified(guarded, terms.eps), self.box.covering(self.test.x)

        def decide() -> Arrays:
            return {"verdicts": verdicts(network, self.test, intervals, bounds, terms)}

        found = self._remember(guarded, {"kind": "complete", **vars(terms)}, self.test, decide)["verdicts"]
        return {
            "eps": terms.eps,
            "certified": rate(found == "proven").model_dump(),
            "adversarial": int((found == "adversarial").sum()),
            "undecided": int((found == "undecided").sum()),
        }

    def _interval(self, guarded: GuardedModel) -> list[dict[str, Any]]:
        """Share of the whole test split, per eps; eps 0 is clean."""
        rows: list[dict[str, Any]] = []
        for eps in (0.0, *self.settings.sizes):
            fixed = self._immovable(self.test, eps)
            right = None if fixed and fixed.everything else self._certified(guarded, eps)
            rows.append({"eps": eps, **self._share(right, self.test), "immovable": fixed and fixed.model_dump()})
        return rows

    def _certified(self, guarded: GuardedModel, eps: float) -> NDArray[np.bool_]:
        bounds, tolerance = self.box.covering(self.test.x), self.settings.tolerance
        key = {"kind": "interval", "eps": eps, "tolerance": tolerance, "seed": self.settings.seed}
        found = self._remember(
            guarded,
            key,
            self.test,
            lambda: {"certified": checked_network(guarded, self.test, eps, tolerance, bounds, self.settings.seed)},
        )
        return found["certified"]

    def _classes(self, guarded: GuardedModel, label: str) -> dict[str, Any]:
        """Share of examples whose smoothed class is correct and certified at each radius; at 0 clean accuracy."""
        batch, params = self.smoothed, self.settings.certify

        def smooth() -> Arrays:
            found = certify_classes(guarded.network, batch.x, params, self.box, self.settings.seed, label)
            return {"label": found.label, "radius": found.radius}

        found = self._remember(guarded, {"kind": "smoothed classes", **self._sampling}, batch, smooth)
        right = found["label"] == batch.y
        return {
            "abstained": rate(found["label"] < 0).model_dump(),
            "radii": [
                {
                    "radius": radius,
                    **self._share(
                        None if self._is_vacuous(batch, radius) else right & (found["radius"] >= radius), batch
                    ),
                }
                for radius in (0.0, *params.grid(self.settings.eps))
            ],
        }

    def _numbers(self, guarded: GuardedModel, label: str) -> dict[str, Any]:
        """Share of examples whose smoothed value stays within the tolerance everywhere inside each radius."""
        batch = self.smoothed
        rows: list[dict[str, Any]] = []
        for radius in progress_bar((0.0, *self.settings.certify.grid(self.settings.eps)), desc=label, unit="radius"):
            if self._is_vacuous(batch, radius):
                rows.append({"radius": radius, "certified": None, "median_width": None})
                continue
            low, high = self._ends(guarded, radius)
            error = np.maximum(np.abs(low - batch.y), np.abs(high - batch.y))
            finite = np.isfinite(error)
            rows.append(
                {
                    "radius": radius,
                    **self._share(finite & (error <= (self.settings.tolerance or 0.0)), batch),
                    "median_width": float(np.median((high - low)[finite])) if finite.any() else None,
                }
            )
        return {"radii": rows}

    def _ends(self, guarded: GuardedModel, radius: float) -> tuple[Floats, Floats]:
        def smooth() -> Arrays:
            params, seed = self.settings.certify, self.settings.seed
            low, high = certify_numbers(guarded.network, self.smoothed.x, radius, params, self.box, seed)
            return {"low": low, "high": high}

        key = {"kind": "smoothed numbers", "radius": radius, **self._sampling}
        found = self._remember(guarded, key, self.smoothed, smooth)
        return found["low"], found["high"]

    @cached_property
    def _sampling(self) -> Mapping[str, Any]:
        """What a sample of noisy predictions depends on: not the radii that are read off it."""
        params = self.settings.certify.model_dump(include={"sigma", "draws", "selection_draws", "alpha"})
        return {**params, "seed": self.settings.seed}

    def _remember(self, guarded: GuardedModel, key: Mapping[str, Any], batch: Batch, compute: Any) -> Arrays:
        # The model's digest covers what it knows of its categories.
        box = {name: np.asarray(each) for name, each in vars(self.box).items() if name != "switches"}
        return self.cache.remember({"model": guarded.digest, **key}, {"x": batch.x, "y": batch.y, **box}, compute)

    def _immovable(self, batch: Batch, eps: float) -> Immovable | None:
        """What cannot change within eps; where nothing can, there is nothing to certify."""
        return immovable(batch.x, self.box.covering(batch.x), eps, self.schema) if eps else None

    def _is_vacuous(self, batch: Batch, eps: float) -> bool:
        fixed = self._immovable(batch, eps)
        return fixed is not None and fixed.everything

    def _share(self, right: NDArray[np.bool_] | None, batch: Batch) -> dict[str, Any]:
        """A share, and beside it the score by which no constant looks certified; None where nothing was measured."""
        if right is None:
            return {"certified": None, "score": None}
        missed = np.abs(batch.y - self.target_mean) > (self.settings.tolerance or 0.0)
        score = column_score(right, batch.y, self.schema.outputs, missed)
        return {"certified": rate(right).model_dump(), "score": score.model_dump() if score else None}
