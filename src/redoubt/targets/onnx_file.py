"""An `.onnx` file as a target: ONNX Runtime's scores, and gradients where every operator has a TensorFlow form."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from google.protobuf.message import DecodeError

from redoubt.attacks.core.base import first_sentence
from redoubt.attacks.core.problem import Outputs
from redoubt.bundle.base.io import digest
from redoubt.bundle.batches import slices
from redoubt.certify.interval import Box, IntervalError
from redoubt.core.types import Batch, Floats
from redoubt.targets.contract import Access, Certifier, Opening, Target, TargetError, check_fits
from redoubt.targets.keras_file import gradient_of
from redoubt.targets.onnx_bounds import bounds_of_graph, certifier_of_graph
from redoubt.targets.onnx_columns import as_one_table
from redoubt.targets.onnx_gradients import TranslationError, rounds, translate
from redoubt.targets.onnx_integers import scales_by_batch
from redoubt.targets.onnx_labels import OTHERWISE, are_others
from redoubt.targets.onnx_last_layer import last_layer
from redoubt.targets.onnx_output import Chosen, choose, choose_labels
from redoubt.targets.reading import SAYS, Form, Reading, asking, read_answers
from redoubt.targets.rounding import ROUNDS

ROWS_AT_ONCE = 256
# Of the largest score, by which the translated graph may differ from ONNX Runtime.
AGREES = 1e-4
# The same where it rounds, a code or two of 256 more or less: ONNX Runtime joins operators, and so rounds less often.
AGREES_ROUNDED = 2e-2
ONE_AT_A_TIME = (
    "it is quantized by scales that it takes from all examples of a request: it is asked one at a time, so that an"
    " answer does not depend on the others"
)
FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def open_onnx(said: str, opening: Opening) -> Target:
    """Open a file.

    Raises:
        TargetError: it is no ONNX model, has more than one input, or does not fit the examples.
    """
    path = Path(said)
    try:
        model = onnx.load(str(path))
    except (DecodeError, OSError, ValueError) as error:
        raise TargetError(f"'{said}' is no ONNX model ({type(error).__name__}: {str(error)[:200]})") from None
    model, joined = as_one_table(model, opening.features, int(np.prod(opening.examples.x.shape[1:])))
    chosen = choose(model, said)
    session = _session(chosen, path, said)
    given = _input(session, said)
    notes = [*joined, *chosen.notes]
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in given.shape[1:])
    first = _is_channels_first(shape, opening.examples.x.shape[1:])
    if first:
        shape = (*shape[1:], shape[0])
        notes.append("it takes channels first: the examples, channels last, are turned round for it")
    check_fits(said, shape, opening.examples.x.shape[1:])
    if scales_by_batch(chosen.model):
        notes.append(ONE_AT_A_TIME)
    ask = _asker(session, given, chosen, first, said)
    reading = _read(ask, opening, chosen, said)
    labels = _labels(model, path, first, opening, said) if reading.form != "labels" else None
    if labels is not None and are_others(asking(ask, reading), asking(*labels), opening.examples.x):
        ask, reading = labels
        notes = [*joined, OTHERWISE]
    elif SAYS[reading.form] and not chosen.is_one_logit:
        notes.append(SAYS[reading.form])

    predict = asking(ask, reading)
    gradients, why = _checked_gradients(chosen, given, first, reading, predict, opening.examples)
    if why:
        notes.append(f"no gradients: {why}; it is attacked by queries")
    elif rounds(chosen.model, chosen.output):
        notes.append(ROUNDS)
    proves, unproven = (None, "") if gradients is None else _certifier(chosen, given, first, reading)
    if unproven:
        notes.append(f"no bounds: {unproven}")
    access: Access = "labels" if reading.form == "labels" else "scores" if gradients is None else "gradients"
    access = "gradients and bounds" if proves is not None else access
    return Target(
        said=said,
        kind="onnx",
        predict=predict,
        width=reading.width,
        access=access,
        shape=shape,
        labels=opening.labels,
        digest=digest(path.read_bytes()),
        notes=tuple(notes),
        gradients=gradients,
        certifier=proves,
    )


def _session(chosen: Chosen, path: Path, said: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            chosen.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # ONNX Runtime's own exceptions have no common base that is public.
        raise TargetError(f"'{said}' cannot be run by ONNX Runtime: {' '.join(str(error).split())[:300]}") from None


def _input(session: onnxruntime.InferenceSession, said: str) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = [each.name for each in inputs]
        fix = "export it with one array of all features, such as to_onnx(pipeline, x.to_numpy()[:1])"
        if any("normalization" in name.lower() for name in names[1:]):
            fix = (
                "Keras's exporter left the constants of a Normalization layer out; audit the .keras file, or scale by"
                " Rescaling layers"
            )
        elif {"index_rows", "index_columns"} & set(names):
            fix = "it is the graph of a bundle of this project, guard and all: give its folder"
        raise TargetError(f"'{said}' has {len(inputs)} inputs ({', '.join(names[:5])}); expected one: {fix}")
    if inputs[0].type not in FLOATS:
        raise TargetError(f"'{said}' takes {inputs[0].type}; expected floating-point numbers")
    return inputs[0]


def _is_channels_first(shape: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    def fits(wanted: tuple[int | None, ...]) -> bool:
        return len(wanted) == len(given) and all(a in (None, b) for a, b in zip(wanted, given, strict=True))

    return len(shape) == len(given) == 3 and not fits(shape) and fits((*shape[1:], shape[0]))


def _asker(
    session: onnxruntime.InferenceSession, given: Any, chosen: Chosen, first: bool, said: str
) -> Callable[[Floats], Any]:
    kind = FLOATS[given.type]
    rows = given.shape[0] if given.shape and isinstance(given.shape[0], int) and given.shape[0] > 0 else None
    if rows is None and scales_by_batch(chosen.model):
        rows = 1

    def ask(x: Floats) -> Any:
        x = np.moveaxis(x, -1, 1) if first else x
        found = []
        for part in slices(len(x), rows or ROWS_AT_ONCE):
            some = np.ascontiguousarray(x[part], kind)
            # A model of a fixed number of examples is asked for that many, the last of them repeated.
            full = some if rows is None else np.concatenate([some, np.repeat(some[-1:], rows - len(some), 0)])
            try:
                answer = session.run([chosen.output], {given.name: full})[0]
            except Exception as error:
                told = " ".join(str(error).split())[:300]
                raise TargetError(f"'{said}' fails on inputs of shape {full.shape}: {told}") from None
            found.append(np.asarray(answer)[: len(some)])
        return np.concatenate(found)

    return ask


def _read(ask: Callable[[Floats], Any], opening: Opening, chosen: Chosen, said: str) -> Reading:
    """As any unknown model's answers, but for what the graph itself says of them."""
    found = np.asarray(ask(opening.examples.x))
    if chosen.is_one_logit or (chosen.is_logits and found.size == len(found)):
        return Reading("decision", 2)
    if chosen.is_logits and found.ndim == 2:
        return Reading("logits", found.shape[1])
    return read_answers(ask, opening, said)


def _labels(
    model: onnx.ModelProto, path: Path, first: bool, opening: Opening, said: str
) -> tuple[Callable[[Floats], Any], Reading] | None:
    """The graph's own labels beside its scores, where it gives any that are the classes of the examples."""
    chosen = None if opening.is_number else choose_labels(model)
    if chosen is None:
        return None
    try:
        session = _session(chosen, path, said)
        ask = _asker(session, _input(session, said), chosen, first, said)
        reading = read_answers(ask, opening, said)
    except TargetError:
        return None
    return (ask, reading) if reading.form == "labels" else None


def _checked_gradients(
    chosen: Chosen, given: Any, first: bool, reading: Reading, predict: Callable[[Floats], Floats], sample: Batch
) -> tuple[Outputs | None, str]:
    """Gradients that may be used, or why there are none."""
    if reading.form == "labels":
        return None, "it gives labels alone"
    try:
        gradients = _gradients(translate(chosen.model, chosen.output, given.name), given.type, first, reading.form)
    except TranslationError as error:
        return None, str(error)
    agrees = AGREES_ROUNDED if rounds(chosen.model, chosen.output) else AGREES
    why = _disagreement(gradients, predict, sample, reading.form, agrees)
    return (None, why) if why else (gradients, "")


def _gradients(graph: Callable[[tf.Tensor], tf.Tensor], kind: str, first: bool, form: Form) -> Outputs:
    def outputs(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        x = tf.cast(tf.transpose(x, [0, 3, 1, 2]) if first else x, FLOATS[kind])
        scores = tf.cast(graph(x), tf.float32)
        if form in ("decision", "probability"):
            one = tf.reshape(scores, [-1])
            scores = tf.stack([tf.zeros_like(one) if form == "decision" else 1.0 - one, one], axis=1)
        if form in ("probability", "probabilities"):
            scores = tf.math.log(tf.maximum(scores, np.finfo(np.float32).tiny))
        return scores

    return outputs


def _certifier(chosen: Chosen, given: Any, first: bool, reading: Reading) -> tuple[Certifier | None, str]:
    """Bounds of the whole graph, or why there are none."""
    if reading.form not in ("logits", "decision", "value") or given.type != "tensor(float)":
        return None, "the scores are probabilities, or not in single precision"

    def turned(x: tf.Tensor) -> tf.Tensor:
        return tf.transpose(x, [0, 3, 1, 2]) if first else x

    def scores(box: Box) -> Box:
        found = graph(box)
        ends = [
            tf.reshape(end, [-1, 1] if reading.form != "logits" else [-1, reading.width])
            for end in (found.low, found.high)
        ]
        if reading.form == "decision":
            ends = [tf.concat([tf.zeros_like(end), end], axis=1) for end in ends]
        return Box(*ends)

    shape = [side if isinstance(side, int) and side > 0 else 1 for side in given.shape[1:]]
    try:
        graph = bounds_of_graph(chosen.model, chosen.output, given.name)
        graph(Box(tf.zeros([1, *shape]), tf.ones([1, *shape])))
    except (IntervalError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        return None, str(error) if isinstance(error, IntervalError) else "an operator has no sound bound here"
    leads = _leads(chosen, given.name) if reading.form == "logits" else None
    return lambda bounds, criterion: certifier_of_graph(scores, turned, bounds, criterion, leads), ""


def _leads(chosen: Chosen, name: str) -> Callable[[Box, tf.Tensor], tf.Tensor] | None:
    """Bounds of the differences between logits, where the last layer allows it."""
    last = last_layer(chosen.model, chosen.output)
    if last is None:
        return None
    features = bounds_of_graph(chosen.model, last.features, name)
    return lambda box, y: last.leads(features(box), y)


def _disagreement(
    gradients: Outputs, predict: Callable[[Floats], Floats], sample: Batch, form: Form, agrees: float
) -> str:
    """Why the translated graph cannot stand for the model; empty where it agrees on the examples and near them."""
    noise = np.random.default_rng(0).normal(0.0, 1e-2, sample.x.shape) * max(float(np.abs(sample.x).max()), 1e-6)
    x = np.concatenate([sample.x, sample.x + noise.astype(np.float32)])
    signature = [tf.TensorSpec((None, *x.shape[1:]), tf.float32), tf.TensorSpec((2,), tf.int32)]
    graph = tf.function(gradients, input_signature=signature, autograph=False)
    try:
        found = graph(tf.constant(x), tf.zeros(2, tf.int32)).numpy()
        leads = gradient_of(gradients, sample.x[:1]) is not None
    except (ValueError, TypeError, KeyError, tf.errors.OpError, NotImplementedError) as error:
        told = first_sentence(error) if isinstance(error, tf.errors.OpError) else " ".join(str(error).split())
        return f"the graph has no TensorFlow form here ({told[:120]})"
    expected = predict(x)
    if form in ("probability", "probabilities"):
        # Of probabilities near 0 the logarithm tells apart what float32 does not.
        found, expected = np.exp(found), np.exp(expected)
    far = float("inf")
    with contextlib.suppress(ValueError):
        far = float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))
    if not far <= agrees:
        return f"the translated graph differs from ONNX Runtime by {far:.1e} of the largest score"
    return "" if leads else "none reaches the inputs"
