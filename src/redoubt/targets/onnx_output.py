"""Which tensor of an ONNX graph an attack needs: the logits, behind a last softmax, sigmoid or dictionary."""

from dataclasses import dataclass

import onnx
from onnx import TensorProto

from redoubt.targets.contract import TargetError

ML = "ai.onnx.ml"
LABELS = (TensorProto.INT64, TensorProto.INT32, TensorProto.STRING, TensorProto.BOOL)
NUMBERS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A graph with the tensor to be attacked among its outputs.

    Attributes:
        model: the graph.
        output: the tensor's name.
        notes: what was unwrapped, in words.
        is_logits: whether it is what a softmax or sigmoids would read.
        is_one_logit: whether it is what one sigmoid would read.
    """

    model: onnx.ModelProto
    output: str
    notes: tuple[str, ...] = ()
    is_logits: bool = False
    is_one_logit: bool = False


def choose_labels(model: onnx.ModelProto) -> Chosen | None:
    """The one output that may hold a label per example; None where there is none, or more than one."""
    tensors = [output for output in model.graph.output if output.type.WhichOneof("value") == "tensor_type"]
    found = [output.name for output in tensors if output.type.tensor_type.elem_type in LABELS]
    if len(found) != 1:
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return _with(copy, found[0])


def choose(model: onnx.ModelProto, said: str) -> Chosen:
    """Look behind what gives probabilities.

    Raises:
        TargetError: the graph has no output of scores or labels.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    makers = {name: node for node in copy.graph.node for name in node.output}
    output = _scores(copy, makers, said)
    node = _through(makers, output)
    node, rounded = _before_rounding(copy.graph, node, makers)
    if node is None:
        return _with(copy, output)
    if node.op_type in ("Softmax", "Sigmoid") and _is_over_classes(node):
        what = node.op_type.lower()
        one = what == "sigmoid" and _width(copy, output) == 1
        more = ", as two: 0 for the first class, and itself for the second" if one else ""
        also = ", and so was the rounding of its probabilities" if rounded else ""
        node, twice = _before_softmaxes(node, makers)
        also += ", and so was the softmax on which it stood" if twice else ""
        note = f"its last {what} was unwrapped{also}: what is attacked are the logits before it{more}"
        return _with(copy, node.input[0], (note,), is_logits=not one, is_one_logit=one)
    one_logit = _pair(copy.graph, node, makers)
    if one_logit is not None:
        note = "its last sigmoid was unwrapped: what is attacked are two logits, 0 and the one before it"
        return _with(copy, one_logit, (note,), is_one_logit=True)
    linear = makers.get(node.input[0]) if node.domain == ML and node.op_type == "Normalizer" else node
    if linear is not None and linear.domain == ML and linear.op_type == "LinearClassifier":
        return _linear(copy, linear)
    return _with(copy, output)


def _scores(model: onnx.ModelProto, makers: dict[str, onnx.NodeProto], said: str) -> str:
    """The output with a number per class: behind a dictionary of classes, else the first of floating point."""
    for output in model.graph.output:
        node = makers.get(output.name)
        if node is not None and node.op_type == "ZipMap":
            return node.input[0]
    numbers = [
        output.name
        for output in model.graph.output
        if output.type.WhichOneof("value") == "tensor_type" and output.type.tensor_type.elem_type in NUMBERS
    ]
    named = [name for name in numbers if "prob" in name.lower()]
    whole = _cut_into(makers, numbers)
    if whole is not None:
        return whole
    if numbers:
        return (named or numbers)[0]
    if not model.graph.output:
        raise TargetError(f"'{said}' holds no ONNX graph")
    labels = [output.name for output in model.graph.output if output.type.WhichOneof("value") == "tensor_type"]
    if not labels:
        raise TargetError(f"'{said}' has no output that is a tensor; expected scores or labels")
    return labels[0]


def _cut_into(makers: dict[str, onnx.NodeProto], outputs: list[str]) -> str | None:
    """The tensor of which each output is one column, as skl2onnx gives probabilities where columns are asked for."""
    steps = [makers[name] for name in outputs if name in makers]
    cuts = [makers.get(step.input[0]) for step in steps if step.op_type in ("Reshape", "Squeeze")]
    wholes = {cut.input[0] for cut in cuts if cut is not None and cut.op_type == "Slice"}
    return wholes.pop() if 2 <= len(cuts) == len(outputs) and len(wholes) == 1 and None not in cuts else None


def _through(makers: dict[str, onnx.NodeProto], output: str) -> onnx.NodeProto | None:
    """The node that computes a tensor, behind others that only hand it on."""
    node = makers.get(output)
    while node is not None and _hands_on(node) and node.input[0] in makers:
        node = makers[node.input[0]]
    return node


def _hands_on(node: onnx.NodeProto) -> bool:
    """Whether it gives the numbers that it reads: of a probability made a whole number nothing is left."""
    return node.op_type == "Identity" or (node.op_type == "Cast" and node.attribute[0].i in NUMBERS)


def _before_softmaxes(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> tuple[onnx.NodeProto, bool]:
    """The first of several softmaxes that read each other, which keep the classes' order, and whether there are."""
    found = node
    while found.op_type == "Softmax":
        before = _through(makers, found.input[0])
        if before is None or before.op_type != "Softmax" or not _is_over_classes(before):
            break
        found = before
    return found, found is not node


def _before_rounding(
    graph: onnx.GraphProto, node: onnx.NodeProto | None, makers: dict[str, onnx.NodeProto]
) -> tuple[onnx.NodeProto | None, bool]:
    """The softmax or sigmoid whose probabilities a quantized model rounds at last, and whether it does.

    One on whole numbers is handed on as one on floats, on logits that the graph is given for it.
    """
    makes = makers.get(node.input[0]) if node is not None and node.op_type == "DequantizeLinear" else None
    if makes is None:
        return node, False
    if makes.op_type == "QuantizeLinear":
        before = _through(makers, makes.input[0])
        found = before is not None and before.op_type in ("Softmax", "Sigmoid")
        return (before, True) if found else (node, False)
    if makes.op_type not in ("QLinearSoftmax", "QLinearSigmoid"):
        return node, False
    logits = f"{makes.input[0]}_logits"
    graph.node.append(onnx.helper.make_node("DequantizeLinear", makes.input[:3], [logits]))
    plain = onnx.helper.make_node(makes.op_type.removeprefix("QLinear"), [logits], makes.output)
    plain.attribute.extend(each for each in makes.attribute if each.name == "axis")
    return plain, True


def _pair(graph: onnx.GraphProto, node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> str | None:
    """What a sigmoid p reads where the node joins 1 - p and p, as scikit-learn's MLP of two classes is exported."""
    if node.op_type != "Concat" or len(node.input) != 2:
        return None
    rest, chance = (makers.get(name) for name in node.input)
    if rest is None or chance is None or (rest.op_type, chance.op_type) != ("Sub", "Sigmoid"):
        return None
    return chance.input[0] if rest.input[1] == node.input[1] and _is_one(graph, makers, rest.input[0]) else None


def _is_one(graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], name: str) -> bool:
    """Whether a tensor is the constant 1."""
    held = [each for each in graph.initializer if each.name == name]
    if name in makers and makers[name].op_type == "Constant":
        held = [each.t for each in makers[name].attribute if each.name == "value"]
    return len(held) == 1 and bool((onnx.numpy_helper.to_array(held[0]) == 1).all())


def _is_over_classes(node: onnx.NodeProto) -> bool:
    axis = next((each.i for each in node.attribute if each.name == "axis"), -1)
    return axis in (-1, 1)


def _width(model: onnx.ModelProto, name: str) -> int | None:
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        return None
    for value in [*inferred.graph.output, *inferred.graph.value_info]:
        if value.name == name and value.type.tensor_type.shape.dim:
            return int(value.type.tensor_type.shape.dim[-1].dim_value) or None
    return None


def _linear(model: onnx.ModelProto, node: onnx.NodeProto) -> Chosen:
    """A linear classifier's scores before they are made probabilities; the first choice is the same."""
    notes: tuple[str, ...] = ()
    for attribute in node.attribute:
        if attribute.name == "post_transform" and attribute.s in (b"SOFTMAX", b"LOGISTIC"):
            notes = (
                f"its last {attribute.s.decode().lower()} was unwrapped: what is attacked are the logits before it",
            )
            attribute.s = b"NONE"
    return _with(model, node.output[1], notes, is_logits=True)


def _with(
    model: onnx.ModelProto,
    output: str,
    notes: tuple[str, ...] = (),
    *,
    is_logits: bool = False,
    is_one_logit: bool = False,
) -> Chosen:
    """The graph, with a tensor as its only output."""
    value = next((each for each in model.graph.output if each.name == output), None)
    if value is None:
        # Of what type it is ONNX Runtime finds out.
        value = onnx.ValueInfoProto(name=output)
    kept = onnx.ValueInfoProto()
    kept.CopyFrom(value)
    del model.graph.output[:]
    model.graph.output.append(kept)
    return Chosen(model, output, notes, is_logits, is_one_logit)
