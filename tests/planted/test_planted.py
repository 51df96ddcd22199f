"""Models with a known lie inside, and what an audit says of each: refused, unwrapped or stamped, never silence."""

from typing import Any

import keras
import numpy as np
import pytest

from redoubt.attacks.core.criteria import Tolerance, Untargeted
from redoubt.audit.frame import frame_of
from redoubt.audit.judge import Judge
from redoubt.audit.suspicions import RandomError, look, suspicions
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch
from redoubt.targets.contract import Opening
from redoubt.targets.function import of_function
from redoubt.targets.keras_file import of_model
from tests.support.brightness import SIDE, examples, model, nearest
from tests.support.planted import LABELS, audited, failed, opened

L = keras.layers


def test_the_honest_model_passes() -> None:
    assert failed(model(), examples()) == {}


def test_an_honest_model_of_numbers_passes() -> None:
    x = np.random.default_rng(0).uniform(0, 10, (40, 3)).astype(np.float32)
    batch, network = Batch(x, x @ np.float32([1, 2, 3])), keras.Sequential([L.Input((3,)), L.Dense(1)])
    network.layers[-1].set_weights([np.array([[1.0], [2.0], [3.0]]), np.zeros(1)])
    target = of_model(network, "numbers", Opening(batch.take(np.arange(8)), is_number=True))
    judge = Judge(target, frame_of(x, None), Tolerance(1.0))
    assert all(check.passed for check in suspicions(judge, batch, look(judge, batch)))
    assert target.access == "gradients and bounds"


def test_a_softmax_that_saturates_is_unwrapped() -> None:
    """Its probabilities are 0 and 1 in float32, where no gradient leads anywhere."""
    batch = examples()
    found = opened(model(activation="softmax", sharp=6000.0), batch)
    assert "softmax was unwrapped" in found.notes[0]
    assert np.allclose(found.predict(batch.x), model(sharp=6000.0)(batch.x), rtol=1e-4)


def test_sigmoids_of_several_classes_are_unwrapped() -> None:
    assert "probability per class independently" in opened(model(activation="sigmoid"), examples()).notes[0]


def test_a_softmax_by_hand_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_hand(z: Any) -> Any:
        e = keras.ops.exp(z / 20)
        return e / keras.ops.sum(e, axis=1, keepdims=True)

    with pytest.raises(RedoubtError, match="the outputs are probabilities"):
        audited(opened(model(after=by_hand), examples()), examples(), monkeypatch)


def test_sigmoids_by_hand_are_stamped() -> None:
    found = failed(model(after=lambda z: 1 / (1 + keras.ops.exp(-z))), examples())
    assert "they all lie in [0, 1]" in found["scores are logits"]


def test_normalization_in_the_caller_and_in_the_model() -> None:
    batch = examples()
    network, name = model(L.Normalization(mean=0.1, variance=0.01)), "the model's own scaling fits the examples"
    assert name not in failed(network, batch)
    found = failed(network, Batch((batch.x - 0.1) / 0.1, batch.y), (-2.0, 10.0))
    assert "scaled already" in found[name]


def test_normalization_in_neither() -> None:
    """The model was trained on normalized inputs, and is given bytes."""
    batch = examples()
    given = Batch(np.round(255 * batch.x), batch.y)
    found = failed(model(), given)
    assert "on x brought from 0..255 to 0..1 accuracy would be" in found["inputs are in the model's unit"]


def test_bytes_are_rescaled_inside_and_the_caller_did_so_too() -> None:
    found = failed(model(L.Rescaling(1 / 255)), examples())
    assert "on x brought from 0..1 to 0..255 accuracy would be" in found["inputs are in the model's unit"]
    assert "scaled already" in found["the model's own scaling fits the examples"]


def test_dropout_left_on() -> None:
    inputs = L.Input((SIDE, SIDE, 1))
    flat, dense = nearest()
    network = keras.Model(inputs, dense(L.Dropout(0.2)(flat(inputs), training=True)))
    batch = examples()
    assert "audited is what predict says" in opened(network, batch).notes[-1]
    opening = Opening(batch.take(np.arange(8)), ("dark", "grey", "bright"))
    served = of_function(lambda x: network(x).numpy(), "served", opening)
    frame = frame_of(batch.x, None)
    with pytest.raises(RandomError, match=r"dropout or random augmentation left on\? .* --random 3"):
        look(Judge(served, frame, Untargeted()), batch)
    declared = look(Judge(served, frame, Untargeted(), repeats=3), batch)
    assert declared.right.share > 0.8


def test_batch_normalization_left_in_training_mode() -> None:
    """What it says of an example depends on which others it is asked about at the same time."""
    batch, network = examples(), model()

    def training(x: Any) -> Any:
        return network(0.5 + 0.25 * (x - x.mean()) / (x.std() + 1e-6)).numpy()

    served = of_function(training, "served", Opening(batch.take(np.arange(8)), LABELS))
    judge = Judge(served, frame_of(batch.x, None), Untargeted())
    wrong = {check.name: check.found for check in suspicions(judge, batch, look(judge, batch)) if not check.passed}
    assert "batch normalization in training mode" in wrong["an answer does not depend on the other examples"]


@pytest.mark.parametrize("shift", [1, 2])
def test_labels_in_another_order(shift: int) -> None:
    batch = examples()
    found = failed(model(), Batch(batch.x, (batch.y + shift) % 3))
    assert f"(y + {3 - shift}) accuracy would be" in found["labels are in the model's order"]
    assert "another model than was meant?" in found["clean accuracy is above a constant's"]


def test_labels_counted_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = examples()
    with pytest.raises(RedoubtError, match=r"labels span 1\.\.3; the model has classes 0\.\.2"):
        audited(opened(model(), batch), Batch(batch.x, batch.y + 1), monkeypatch)


def test_half_precision_is_said_and_never_proven() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = model()
    finally:
        keras.config.set_dtype_policy("float32")
    found = opened(network, examples())
    assert "it computes in float16" in found.notes[0]
    assert found.access == "gradients"


def test_one_class_for_everything() -> None:
    network = model()
    network.layers[-1].set_weights([np.zeros((SIDE**2, 3)), np.array([0.0, 1.0, 0.0])])
    assert "a single class, 'grey'" in failed(network, examples())["the predictions vary"]


def test_a_saturating_layer_is_stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gradients are 0 in float32: attacks that follow them find nothing, and the audit says so."""
    network = model(sharp=3000.0, after=lambda z: 10 * keras.ops.tanh(z - keras.ops.max(z, axis=1, keepdims=True) + 20))
    batch = examples(48)
    found = audited(opened(network, batch), batch, monkeypatch, whole=False)
    assert found.verdict.startswith("NOT TRUSTED")
    assert "gradients are neither zero nor NaN" in {check.name for check in found.failed}


def test_an_eps_in_the_wrong_unit() -> None:
    batch = examples()
    in_bytes = frame_of(np.round(255 * batch.x), None)
    said = in_bytes.warning("linf", 0.3)
    assert said is not None
    assert "L-inf 0.3 = 0.3 of 255 is under one grey level" in said
    assert "give 76.5" in said


def test_steps_that_shatter_the_gradient_leave_queries() -> None:
    inputs = L.Input((SIDE, SIDE, 1))
    x = keras.ops.cast(keras.ops.cast(inputs * 64, "int32"), "float32") / 64
    for layer in nearest():
        x = layer(x)
    found = opened(keras.Model(inputs, x), examples())
    assert found.access == "scores"
    assert "attacked by queries" in found.notes[-1]
