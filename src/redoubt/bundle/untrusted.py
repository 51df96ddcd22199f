"""Refuses an ONNX graph that a stranger may have made, unless it is plain nodes and the constants it holds itself."""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from redoubt.bundle.errors import BundleError

_EXTERNAL = 1

# The few fields of onnx.proto that are looked at, by message: name, number and type. The service has protobuf but not
# the onnx package; a field that is not named here is skipped by the parser as any unknown field is.
_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Model": (("graph", 7, "Graph"), ("training_info", 20, "Other"), ("functions", 25, "Other")),
    "Graph": (("node", 1, "Node"), ("initializer", 5, "Tensor"), ("sparse_initializer", 15, "Other")),
    "Node": (("op_type", 4, ""), ("attribute", 5, "Attribute"), ("domain", 7, "")),
    "Attribute": (
        ("t", 5, "Tensor"),
        ("g", 6, "Other"),
        ("tensors", 10, "Tensor"),
        ("graphs", 11, "Other"),
        ("sparse_tensor", 22, "Other"),
        ("sparse_tensors", 23, "Other"),
    ),
    "Tensor": (("name", 8, ""), ("external_data", 13, "Other"), ("data_location", 14, "int")),
    "Other": (),
}


_SINGLE = {("Model", "graph"), ("Attribute", "t"), ("Attribute", "g"), ("Attribute", "sparse_tensor")}


def check_graph(graph: bytes, said: str = "model.onnx") -> None:
    """Refuse an ONNX graph that is more than plain nodes and the constants it holds itself.

    ONNX Runtime would read external data from wherever the graph says, and a Loop runs as long as it likes.

    Args:
        graph: the file.
        said: what messages call it.

    Raises:
        BundleError: no ONNX model, a tensor kept in another file, a nested graph, a function, an operator of a domain
            other than ONNX's own.
    """
    try:
        model = _messages()["Model"].FromString(graph)
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


@cache
def _messages() -> dict[str, Any]:
    """Message classes of `_FIELDS`, in a pool of their own: the onnx package may have its names in the common one."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="redoubt_onnx.proto", package="redoubt_onnx", syntax="proto2")
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for name, number, kind in fields:
            plain = {"": kinds.TYPE_STRING, "int": kinds.TYPE_INT32}.get(kind)
            single = plain is not None or (message, name) in _SINGLE
            made.field.add(
                name=name,
                number=number,
                label=kinds.LABEL_OPTIONAL if single else kinds.LABEL_REPEATED,
                type=plain or kinds.TYPE_MESSAGE,
                type_name=None if plain else f".redoubt_onnx.{kind}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"redoubt_onnx.{name}")) for name in _FIELDS
    }
