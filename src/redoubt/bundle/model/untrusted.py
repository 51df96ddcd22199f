"""Refuses an ONNX graph that a stranger may have made, unless it is plain nodes and the constants it holds itself."""

from typing import Any

from google.protobuf.message import DecodeError

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.model.onnx_messages import messages

_EXTERNAL = 1


def check_graph(graph: bytes, said: str = "model.onnx") -> Any:
    """Refuse an ONNX graph that is more than plain nodes and the constants it holds itself.

    ONNX Runtime would read external data from wherever the graph says, and a Loop runs as long as it likes.

    Args:
        graph: the file.
        said: what messages call it.

    Returns:
        The graph's model as a message of `onnx_messages`.

    Raises:
        BundleError: no ONNX model, a tensor kept in another file, a nested graph, a function, an operator of a domain
            other than ONNX's own.
    """
    try:
        model = messages()["Model"].FromString(graph)
    except DecodeError:
        raise BundleError(f"{said}: it is no ONNX model") from None
    if model.training_info or model.functions or model.graph.sparse_initializer:
        raise BundleError(f"{said}: it holds functions, training or sparse tensors; expected plain nodes")
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise BundleError(f"{said}: operator {node.op_type[:60]!r} is not one of ONNX's own")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
                raise BundleError(f"{said}: operator {node.op_type[:60]!r} holds a graph of its own")
            if attribute.sparse_tensors:
                raise BundleError(f"{said}: operator {node.op_type[:60]!r} holds sparse tensors")
            tensors += [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
    outside = next((each for each in tensors if each.data_location == _EXTERNAL or each.external_data), None)
    if outside is not None:
        raise BundleError(f"{said}: tensor {outside.name[:60]!r} is kept in another file; expected all inside")
    return model
