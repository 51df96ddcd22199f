"""A `.keras` file as a target: gradients, bounds where its layers have them, logits behind a last softmax."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redoubt.attacks.core.base import first_sentence
from redoubt.attacks.core.problem import Outputs, of_network
from redoubt.bundle.base.io import digest
from redoubt.bundle.batches import slices
from redoubt.certify.graph import has_bounds
from redoubt.certify.worst_case import certifier
from redoubt.core.types import Floats
from redoubt.targets.contract import Access, Opening, Target, TargetError, check_fits, check_whole
from redoubt.targets.keras_inputs import plain, takes_whole_numbers, with_float_inputs
from redoubt.targets.network_file import check_network, open_network
from redoubt.targets.rounding import ROUNDS, past_rounding

ROWS_AT_ONCE = 512
WHOLE = "it casts its inputs to whole numbers: an attack changes them by whole numbers alone"
HALVED = (
    "its one output lies within 0 to 1 and is read as the probability of the second class, by two logits: 0, and the"
    " output less a half"
)
# What hands on the tensor that it reads where the shape is the same.
HANDS_ON = {"Identity", "Flatten", "Reshape", "Cast", "ActivityRegularization"}
UNWRAPPED = "its last {what} was unwrapped: what is attacked are the logits before it"


def open_keras(said: str, opening: Opening) -> Target:
    """Open a file.

    Raises:
        NetworkFileError: it cannot be read, or is of an older format.
        TargetError: its inputs or outputs are not what the examples need.
    """
    path = Path(said)
    return of_model(open_network(path, unwraps=True), said, opening, digest(path.read_bytes()))


def of_model(network: keras.Model, said: str, opening: Opening, content: str = "") -> Target:
    """A Keras model as a target.

    Args:
        network: with one input and one row of outputs.
        said: what messages call it.
        opening: see `Opening`.
        content: digest of the file it came from.

    Raises:
        TargetError: its inputs or outputs are not what the examples need.
    """
    check_network(said, network)
    if any(getattr(layer, "stateful", False) for layer in network.layers):
        raise TargetError(
            f"{said} is stateful: what it says depends on what it was asked before; build it with stateful=False and"
            " give it the same weights"
        )
    network = plain(network)
    shape, whole = tuple(network.input_shape[1:]), takes_whole_numbers(network)
    if opening.sample is not None:
        check_fits(said, shape, opening.sample.x.shape[1:])
        some = opening.sample.x
        if whole:
            check_whole(said, some)
    else:
        some = np.zeros((1, *(side or 1 for side in shape)), np.float32)
    network, notes = (network, []) if opening.is_number else logits_of(network)
    if network.output_shape[-1] == 1 and not opening.is_number:
        if not _is_probability(network, opening):
            raise TargetError(
                f"{said} has one output that is no probability: give --tolerance if it answers a number, or two logits,"
                " 0 and the output"
            )
        network, notes = _two_logits(network.inputs[0], network.outputs[0], -0.5), [HALVED]
    width = int(network.output_shape[-1])
    notes += [WHOLE] if whole else []
    notes += [*_of_precision(network), *_of_chance(network, some)]
    outputs, more = _differentiable(network, some)
    notes += more
    bounded = outputs is not None and not whole and has_bounds(network)
    access: Access = "scores" if outputs is None else "gradients and bounds" if bounded else "gradients"
    return Target(
        said=said,
        kind="keras",
        predict=asks(network),
        width=width,
        access=access,
        shape=shape,
        labels=opening.labels,
        digest=content,
        notes=tuple(notes),
        gradients=outputs,
        network=network,
        certifier=partial(certifier, network) if bounded else None,
        whole=whole,
    )


def asks(network: keras.Model) -> Any:
    """A function from arrays to a network's float32 outputs at inference, as it is: nothing passes straight through."""
    graph = tf.function(
        lambda x: tf.cast(network(x, training=False), tf.float32), autograph=False, reduce_retracing=True
    )

    def predict(x: Floats) -> Floats:
        parts = slices(max(len(x), 1), ROWS_AT_ONCE)
        try:
            return np.concatenate([graph(tf.constant(x[part])).numpy() for part in parts])
        except tf.errors.OpError as error:
            said = first_sentence(error)
            raise TargetError(
                f"the model fails on inputs of {x.min(initial=0):g} to {x.max(initial=0):g}: {said}; give --bounds"
                " LO HI that it takes"
            ) from None

    return predict


def _differentiable(network: keras.Model, some: Floats) -> tuple[Outputs | None, list[str]]:
    """What gradient attacks follow, and what must be said of it; None where nothing leads back to the inputs."""
    own = of_network(with_float_inputs(network))
    found = gradient_of(own, some)
    if found is not None and np.any(found):
        return own, []
    past = past_rounding(network)
    through = gradient_of(past, some)
    if through is not None and np.any(through):
        return past, [ROUNDS]
    if found is None:
        return None, ["no gradient reaches its inputs, which are looked up, binned or cast: it is attacked by queries"]
    return own, []


def gradient_of(outputs: Outputs, some: Floats) -> Floats | None:
    """Of the outputs by the inputs, each output with a weight of its own: a sum of probabilities has none."""
    x = tf.constant(some)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        found = outputs(x, tf.zeros(2, tf.int32))
        total = tf.reduce_sum(found * tf.range(1.0, found.shape[-1] + 1.0))
    gradient = tape.gradient(total, x)
    return None if gradient is None else np.asarray(gradient)


def logits_of(network: keras.Model) -> tuple[keras.Model, list[str]]:
    """The network up to its last softmax or sigmoid, and what was done, in words; a softmax before that goes too.

    A single sigmoid becomes two logits, 0 and its own, by a fixed Dense layer, so that bounds go through it too.
    """
    found, notes = _unwrapped(network)
    twice = bool(notes) and _innermost(found) == "softmax"
    while twice and _innermost(found) == "softmax":
        found, _ = _unwrapped(found)
    return found, [f"{notes[0]}, and so was the softmax on which it stood"] if twice else notes


def _innermost(network: keras.Model) -> str | None:
    """What `_probabilities` says of the last operation, inside of a model that it ends in."""
    operation, _ = _last(network)
    return _innermost(operation) if isinstance(operation, keras.Model) else _probabilities(operation)


def _unwrapped(network: keras.Model) -> tuple[keras.Model, list[str]]:
    operation, before = _last(network)
    if isinstance(operation, keras.Model):
        inside, notes = _unwrapped(operation)
        return (keras.Model(network.inputs[0], inside(before)), notes) if notes else (network, [])
    kind = _probabilities(operation)
    if kind is None and _hands_on(operation, before, network.outputs[0]):
        inside, notes = _unwrapped(keras.Model(network.inputs[0], before))
        return (inside, notes) if notes else (network, [])
    if kind is None:
        return network, []
    if isinstance(operation, keras.layers.Layer) and operation.weights:
        layer = _linear(operation)
        output = layer(before)
        layer.set_weights(operation.get_weights())
    else:
        output = before
    notes = [UNWRAPPED.format(what=kind)]
    if kind == "sigmoid" and output.shape[-1] == 1:
        two = f"{notes[0]}, as two: 0 for the first class, and itself for the second"
        return _two_logits(network.inputs[0], output, 0.0), [two]
    if kind == "sigmoid":
        notes = [f"{notes[0]}; it gave a probability per class independently, here each example has one class"]
    return keras.Model(network.inputs[0], output), notes


def _two_logits(given: Any, output: Any, shift: float) -> keras.Model:
    """The model from an input to two logits: 0, and one output and a number more."""
    two = keras.layers.Dense(2, dtype="float32", name="two_logits")
    found = two(output)
    two.set_weights([np.array([[0.0, 1.0]], np.float32), np.array([0.0, shift], np.float32)])
    return keras.Model(given, found)


def _is_probability(network: keras.Model, opening: Opening) -> bool:
    """Whether all that it answers to the examples lies within 0 to 1; what a linear layer answers has no such ends."""
    last = _last(network)[0]
    linear = getattr(last, "activation", None) is keras.activations.linear and bool(last.weights)
    if opening.sample is None or linear:
        return False
    answers = asks(network)(opening.sample.x)
    return bool(np.all((answers >= 0) & (answers <= 1)))


def _hands_on(operation: Any, before: Any, after: Any) -> bool:
    """Whether an operation gives the numbers that it reads, in their order."""
    kind = type(operation).__name__
    linear = kind == "Activation" and operation.activation is keras.activations.linear
    if not (linear or kind in HANDS_ON) or not type(operation).__module__.startswith("keras."):
        return False
    return tuple(before.shape) == tuple(after.shape) and "float" in str(after.dtype)


def _last(network: keras.Model) -> tuple[Any, Any]:
    """The operation that gives the outputs, and the tensor that it reads."""
    operation, index, _ = network.outputs[0]._keras_history
    if isinstance(operation, keras.Model) and not getattr(operation, "outputs", None):
        # A subclass of a model, whose layers nobody sees.
        return None, None
    if not operation._inbound_nodes or len(operation._inbound_nodes[index].input_tensors) != 1:
        return None, None
    return operation, operation._inbound_nodes[index].input_tensors[0]


def _probabilities(operation: Any) -> str | None:
    """Which of the two the operation is, or ends in; None for anything else."""
    kind = type(operation).__name__
    if kind in ("Softmax", "Sigmoid") and type(operation).__module__.startswith("keras."):
        axis = getattr(operation, "axis", -1)
        return kind.lower() if axis in (-1, 1, None) else None
    activation = getattr(operation, "activation", None)
    return {keras.activations.softmax: "softmax", keras.activations.sigmoid: "sigmoid"}.get(activation)


def _linear(layer: Any) -> Any:
    config = {**layer.get_config(), "activation": "linear", "name": f"{layer.name}_logits"}
    return type(layer).from_config(config)


def _of_chance(network: keras.Model, x: Floats) -> list[str]:
    """A layer that was called with `training=True`: Keras heeds that in `model(x)` and not in `model.predict(x)`."""
    try:
        told = network(x, training=False).numpy()
    except (tf.errors.OpError, ValueError, TypeError) as error:
        said = first_sentence(error) if isinstance(error, tf.errors.OpError) else str(error).strip().splitlines()[0]
        raise TargetError(f"the model fails on these inputs: {said}") from None
    if np.allclose(told, network(x).numpy(), rtol=1e-3, atol=1e-3, equal_nan=True):
        return []
    return [
        "model(x) answers otherwise, by chance, than model.predict(x): dropout left on? audited is what predict says"
    ]


def _of_precision(network: keras.Model) -> list[str]:
    kinds = {str(layer.compute_dtype) for layer in network.layers if layer.weights} - {"float32", "None"}
    quantized = any(getattr(layer, "quantization_mode", None) for layer in network.layers)
    found = sorted(kinds) + (["int8 weights"] if quantized else [])
    vanish = "gradients may vanish, and " if set(found) - {"float64"} else ""
    return [f"it computes in {', '.join(found)}: {vanish}no bound here is sound for it"] if found else []
