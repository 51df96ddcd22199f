"""A guard's parts answer from the same graph as the whole, and are attacked as they answer."""

import numpy as np
import pytest
import tensorflow as tf

from redoubt.bundle.model.guarded_model import softmax
from redoubt.defenses.adaptive import adaptive_outputs, detector_evading_outputs
from redoubt.defenses.components import Component, components
from tests.support.tiny import IMAGE, Guarded

SEED = [5, 0]


@pytest.fixture
def whole(guarded: Guarded) -> Component:
    return components(guarded.model.guard)[-1]


def test_parts_are_the_guards_own(guarded: Guarded) -> None:
    found = {component.name: component for component in components(guarded.model.guard)}
    voting = ["median", "squeezing"] if guarded.case.name == IMAGE else ["squeezing"]
    assert list(found) == [*voting, "randomization", "detector", "all"]
    assert found["randomization"].variants == ("random-1", "random-2")
    assert [name for name, component in found.items() if component.detects] == ["detector", "all"]


def test_the_whole_votes_as_the_guarded_model_does_and_the_detector_as_the_network(
    guarded: Guarded, whole: Component
) -> None:
    x, classes = guarded.case.test.x, bool(guarded.case.schema.labels)
    answers = guarded.model.predict(x, np.random.default_rng(SEED))
    assert np.allclose(whole.vote(answers, guarded.model.guard, classes), answers.vote, rtol=1e-5)
    detector = components(guarded.model.guard)[-2]
    alone = guarded.model.network(x)
    vote = detector.vote(answers, guarded.model.guard, classes)
    assert np.allclose(vote, softmax(alone) if classes else alone, rtol=1e-3, atol=1e-5)
    assert np.array_equal(detector.refused(answers), answers.flagged)
    assert not Component("squeezing", ("squeezed",)).refused(answers).any()


def test_what_is_attacked_is_what_answers(guarded: Guarded) -> None:
    x, guard, classes = guarded.case.test.x, guarded.model.guard, bool(guarded.case.schema.labels)
    answers = guarded.model.predict(x, np.random.default_rng(SEED))
    for component in components(guard):
        attacked = adaptive_outputs(guarded.case.network, guard, component.variants)(
            tf.constant(x), tf.constant(SEED)
        ).numpy()
        served = answers.outputs[:, [guard.variants.index(name) for name in component.variants]]
        each = np.log(softmax(served)) if classes else served
        assert np.abs(attacked - each.mean(axis=1)).max() <= 1e-3 * guard.output_scale, component.name


def test_the_detectors_attacker_sees_the_score(guarded: Guarded, whole: Component) -> None:
    x, guard = guarded.case.test.x, guarded.model.guard
    answers = guarded.model.predict(x, np.random.default_rng(SEED))
    outputs = detector_evading_outputs(guarded.case.network, guard, whole.variants)(
        tf.constant(x), tf.constant(SEED)
    ).numpy()
    assert np.allclose(outputs[:, -1], answers.score, atol=2e-3)
    plain = adaptive_outputs(guarded.case.network, guard)(tf.constant(x), tf.constant(SEED)).numpy()
    assert np.abs(outputs[:, :-1] - plain).max() <= 1e-3 * guard.output_scale


def test_the_score_has_a_gradient_although_squeezing_rounds(guarded: Guarded) -> None:
    x = tf.constant(guarded.case.test.x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = detector_evading_outputs(guarded.case.network, guarded.model.guard, ("plain",))(x, tf.constant(SEED))[
            :, -1
        ]
    size = np.abs(tape.gradient(score, x).numpy()).reshape(len(x), -1).max(axis=1)
    assert np.isfinite(size).all()
    assert (size > 0).mean() > 0.5
