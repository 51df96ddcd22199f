"""What is evaluated, under which terms, and how one attack is run on it: in batches, remembered, re-checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from redoubt.attacks.core.base import Attack, check_result
from redoubt.attacks.core.criteria import Criterion, EvadeDetector, Tolerance
from redoubt.attacks.core.problem import BATCH, AttackProblem, Outputs, of_callable, of_network
from redoubt.attacks.query import log_scores
from redoubt.bundle.batches import slices
from redoubt.bundle.model.guarded_model import GuardedModel, Predictions
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch, Bounds, Floats, Norm
from redoubt.data.shared.dataset import digest_arrays
from redoubt.defenses.adaptive import adaptive_outputs, detector_evading_outputs
from redoubt.defenses.components import Component
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.metrics import Score, column_score
from redoubt.evaluation.redraws import Flags, majority, redraws
from redoubt.evaluation.results import NORMS
from redoubt.evaluation.shared_network import SharedNetwork, but_threshold
from redoubt.params.settings.sections import AttackParams, Eps

TINY = 1e-12


@dataclass(frozen=True)
class EvaluationConfig:
    """What an evaluation needs beside the model and the examples.

    Attributes:
        bounds: hold every example that is attacked.
        target_mean: of the training examples, a number's constant to compare with; None leaves skill unmeasured.
    """

    params: AttackParams
    eps: Eps
    criterion: Criterion
    bounds: Bounds
    seed: int
    cache: EvaluationCache = field(default_factory=lambda: EvaluationCache(None))
    target_mean: float | None = None

    @property
    def tolerance(self) -> float | None:
        """Largest error that counts as correct, of a number; None for classes."""
        return self.criterion.tolerance if isinstance(self.criterion, Tolerance) else None


@dataclass(frozen=True, eq=False)
class Evaluator:
    """A network that has gradients, and the guarded model that is served and scores every perturbation.

    Attributes:
        shared: takes the network's weights whenever this evaluator is asked for a problem or an attack; models of one
            architecture that share it are evaluated one after the other, on the same examples' bounds and aim.
    """

    network: keras.Model
    guarded: GuardedModel
    config: EvaluationConfig
    shared: SharedNetwork | None = None

    @property
    def bounds(self) -> Bounds:
        """What holds every example."""
        return self.config.bounds

    @property
    def criterion(self) -> Criterion:
        """What an attacker wants."""
        return self.config.criterion

    @property
    def steps(self) -> int:
        """Of the gradient attacks."""
        return self.config.params.steps

    @property
    def seed(self) -> int:
        """Of everything."""
        return self.config.seed

    @property
    def schema(self) -> Schema:
        """Of the task."""
        return self.guarded.schema

    @property
    def undefended(self) -> Mapping[Norm, AttackProblem]:
        """The network alone, per norm."""
        self._take_turn()
        return self._problems["network"]

    @property
    def adaptive(self) -> Mapping[Norm, AttackProblem]:
        """The guarded model, as seen by an attacker who knows the guard."""
        self._take_turn()
        return self._problems["guard"]

    def component_problem(self, component: Component, norm: Norm) -> AttackProblem:
        """One part of the guard, its detector included, as seen by an attacker who knows it."""
        self._take_turn()
        guard, criterion, variants = self.guarded.guard, self.config.criterion, component.variants
        if not component.detects:
            return self._problem(adaptive_outputs(self._seen.network, guard, variants), criterion, norm, component.name)
        outputs = detector_evading_outputs(self._seen.network, guard, variants, self._seen.threshold)
        return self._problem(outputs, EvadeDetector(criterion, 1.0), norm, component.name)

    def query_problem(self, norm: Norm) -> AttackProblem:
        """The guarded model as it is served: outputs only, other draws for other inputs."""

        def ask(x: Floats) -> Floats:
            # Drawn from what is asked, not from how often: a batch must end the same whether or not others came before.
            seed = [self.config.seed, int(digest_arrays({"x": x})[:16], 16)]
            vote = self.guarded.predict(x, np.random.default_rng(seed)).vote
            return log_scores(vote) if self.guarded.schema.is_classification else vote

        outputs = of_callable(ask, self.guarded.schema.outputs)
        return AttackProblem(outputs, self.config.criterion, norm, self.config.bounds, "service")

    def attack(self, attack: Attack, problem: AttackProblem, batch: Batch, eps: float, start: int = 0) -> Floats:
        """Attack some examples, batch by batch.

        Args:
            attack: how.
            problem: one of the above.
            batch: the examples.
            eps: size of the perturbation.
            start: tells restarts of the same attack apart.

        Returns:
            Perturbed inputs, inside the bounds and the ball; re-checked here, whoever made them.
        """
        self._take_turn()
        seed = self.config.seed + start
        key = {"model": self.guarded.digest, "attack": repr(attack), "eps": eps, "seed": seed, "norm": problem.norm}
        if problem.bounds.relations is not None:
            key["relations"] = list(problem.bounds.relations.lines)
        if problem.bounds.switches is not None:
            key["switches"] = repr(problem.bounds.switches)
            key |= {"prices": problem.bounds.switches.prices} if problem.bounds.switches.prices else {}
        if self.guarded.guard.vote != "all":
            key["vote"] = self.guarded.guard.vote
        key |= {"criterion": repr(problem.criterion), "problem": problem.name, "draws": self.config.seed}
        pieces = [
            self._piece(attack, problem, Batch(batch.x[component], batch.y[component]), key, component.start)
            for component in slices(len(batch), BATCH)
        ]
        x_adv = np.concatenate([batch.x[:0], *pieces])
        check_result(batch.x, x_adv, problem, eps)
        return x_adv

    def _piece(self, attack: Attack, problem: AttackProblem, batch: Batch, key: dict[str, Any], first: int) -> Floats:
        seed = key["seed"] + 7919 * first
        return self.config.cache.remember(
            {**key, "first": first},
            {"x": batch.x, "y": batch.y, **_arrays(problem.bounds)},
            lambda: {"x_adv": attack(problem, batch.x, batch.y, eps=key["eps"], seed=seed)},
        )["x_adv"]

    def is_adversarial(self, x: Floats, y: NDArray[Any]) -> Flags:
        """Where the network alone is wrong."""
        return self.config.criterion.is_adversarial(self.guarded.network(x), y)

    def score(self, is_adversarial: Flags, y: NDArray[Any]) -> Score | None:
        """Balanced accuracy, or tolerance skill; None where no constant is known or the constant is never wrong."""
        criterion, mean = self.config.criterion, self.config.target_mean
        if criterion.is_classification:
            return column_score(~is_adversarial, y, self.guarded.schema.outputs, is_adversarial)
        return (
            None
            if mean is None
            else column_score(~is_adversarial, y, 1, criterion.is_adversarial(np.full((len(y), 1), mean), y))
        )

    def predict(self, x: Floats) -> list[Predictions]:
        """What the guarded model says in each of a few fresh redraws: one lucky draw must not decide an example."""
        return [self.guarded.predict(x, rng) for rng in redraws(self.config.seed)]

    def is_adversarial_guarded(self, x: Floats, y: NDArray[Any]) -> Flags:
        """Where the majority of redraws is wrong; a flag alone saves no example."""
        return majority([self.config.criterion.is_adversarial(answers.vote, y) for answers in self.predict(x)])

    def is_adversarial_component(self, component: Component, answers: list[Predictions], y: NDArray[Any]) -> Flags:
        """Where the majority of redraws gets past one part: misclassified, and not refused."""
        guard, classes = self.guarded.guard, self.guarded.schema.is_classification
        wrong = [self.config.criterion.is_adversarial(component.vote(each, guard, classes), y) for each in answers]
        return majority([flags & ~component.refused(each) for flags, each in zip(wrong, answers, strict=True)])

    @cached_property
    def _seen(self) -> SharedNetwork:
        """What attacks differentiate: the network's own weights, in a network shared with others or of its own."""
        return self.shared or SharedNetwork(self.network)

    def _take_turn(self) -> None:
        self._seen.hold(self.network, max(self.guarded.guard.threshold, TINY))

    @cached_property
    def _problems(self) -> Mapping[str, Mapping[Norm, AttackProblem]]:
        network, criterion = self._seen.network, self.config.criterion
        outputs = {"network": of_network(network), "guard": adaptive_outputs(network, self.guarded.guard)}
        return {
            name: {norm: self._problem(each, criterion, norm, name) for norm in NORMS} for name, each in outputs.items()
        }

    def _problem(self, outputs: Outputs, criterion: Criterion, norm: Norm, name: str) -> AttackProblem:
        graphs = self._seen.graphs(name, norm, "" if name == "network" else but_threshold(self.guarded.guard))
        return AttackProblem(outputs, criterion, norm, self.config.bounds, name, graphs)


def _arrays(bounds: Bounds) -> dict[str, NDArray[Any]]:
    # Those of an attacker who may go both ways are what they were before one could not.
    apart = ("relations", "switches", *(() if bounds.one_sided else ("falls", "rises")))
    return {name: np.asarray(each) for name, each in vars(bounds).items() if name not in apart}
