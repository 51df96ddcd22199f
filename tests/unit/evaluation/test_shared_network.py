"""Models of one architecture share what is compiled, and each is attacked as if it were alone."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from redoubt.attacks.core.gradient import PGD
from redoubt.defenses.components import components
from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator
from redoubt.evaluation.shared_network import by_architecture
from redoubt.params.settings.sections import AttackParams, Eps
from tests.support import tiny

STEPS = PGD(steps=3)
PARAMS = AttackParams(linf=(0.1,), l2=(0.3,), points=60, steps=3, restarts=1, eot=1, queries=10)


def opposed(network: keras.Model) -> keras.Model:
    """The same layers under other names, as another stage builds them, the last one's weights negated."""
    made = keras.models.clone_model(network, clone_function=lambda layer: type(layer).from_config(_own(layer)))
    *body, kernel, bias = network.get_weights()
    made.set_weights([*body, -kernel, -bias])
    return made


def _own(layer: keras.Layer) -> dict[str, object]:
    return {**layer.get_config(), "name": f"other_{layer.name}"}


@pytest.fixture(params=[tiny.TABLE, tiny.NUMBER])
def guarded(request: pytest.FixtureRequest, bundles: Callable[[str], tiny.Guarded]) -> tiny.Guarded:
    return bundles(request.param)


def evaluators(guarded: tiny.Guarded, networks: list[keras.Model], alone: bool) -> list[Evaluator]:
    case = guarded.case
    config = EvaluationConfig(PARAMS, Eps(linf=0.2, l2=0.4), case.criterion, case.bounds, seed=3)
    shared = [None for _ in networks] if alone else by_architecture(networks)
    return [Evaluator(network, guarded.model, config, each) for network, each in zip(networks, shared, strict=True)]


def attacked(evaluator: Evaluator, guarded: tiny.Guarded) -> list[np.ndarray]:
    """By an attacker of the network, of the whole guard, and of its last part, whose detector is evaded."""
    batch, part = guarded.case.test, components(guarded.model.guard)[-1]
    problems = [
        evaluator.undefended["linf"],
        evaluator.adaptive["linf"],
        evaluator.component_problem(part, "linf"),
    ]
    return [evaluator.attack(STEPS, problem, batch, 0.2) for problem in problems]


def test_in_turns_each_is_attacked_as_if_alone(guarded: tiny.Guarded) -> None:
    networks = [guarded.case.network, opposed(guarded.case.network)]
    assert len({id(each) for each in by_architecture(networks)}) == 1
    alone = [attacked(each, guarded) for each in evaluators(guarded, networks, alone=True)]
    together = evaluators(guarded, networks, alone=False)
    for _ in range(2):
        for expected, evaluator in zip(alone, together, strict=True):
            for one, other in zip(expected, attacked(evaluator, guarded), strict=True):
                assert np.array_equal(one, other)
    assert not np.array_equal(alone[0][0], alone[1][0])


def test_other_layers_are_another_architecture(trained: Callable[[str], tiny.Case]) -> None:
    one, other = (trained(name).network for name in (tiny.TABLE, tiny.NUMBER))
    first, second, third = by_architecture([one, other, one])
    assert first is third
    assert first is not second
