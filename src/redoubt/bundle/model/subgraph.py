"""Cuts a part out of an ONNX graph; needs the onnx package, which the service does not install."""

import onnx
import onnx.shape_inference
import onnx.utils

from redoubt.bundle.base.errors import BundleError


def extract(model: bytes, start: str, end: str) -> bytes:
    """The part of a model between two of its named values, as a model of its own."""
    return _between(_read(model), [start], end)


def first_variant(proof: bytes) -> bytes:
    """What a proof computes of its first variant, the input itself: the bounds of the network alone.

    Args:
        proof: proof.onnx, as `defenses.guard.export_proof` writes it: both ends of the ball become a stack of variants
            each, which goes through the network's bounds as one batch.

    Returns:
        A model from `x` and `eps` to `proof`, `(examples, columns)`; its nodes are those of the whole.

    Raises:
        BundleError: a graph of another form.
    """
    whole = _read(proof)
    made = {output: node for node in whole.graph.node for output in node.output}

    def source(value: str, *operators: str) -> str | None:
        """What goes into a chain of nodes that ends in this value, where they are of these operators."""
        for operator in operators:
            node = made.get(value)
            if node is None or node.op_type != operator:
                return None
            value = node.input[0]
        return value

    outputs = [name for node in whole.graph.node for name in node.output]
    ends = {name: source(name, "Reshape", "Concat", "Unsqueeze") for name in outputs}
    flat = source("proof", "Identity", "Reshape")
    if flat is None or sum(end is not None for end in ends.values()) != 2:
        raise BundleError("the graph of 'proof' has another form than this version writes; make the bundle again")
    for node in whole.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = ends.get(name) or name
    return _between(whole, ["x", "eps"], flat)


def _read(model: bytes) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(onnx.load_from_string(model))


def _between(model: onnx.ModelProto, starts: list[str], end: str) -> bytes:
    cut: bytes = onnx.utils.Extractor(model).extract_model(starts, [end]).SerializeToString()
    return cut
