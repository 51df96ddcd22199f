"""The few messages of onnx.proto that are read and edited; the service has protobuf but not the onnx package."""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# By message: name, number and type of each field; `*` marks a repeated one. A field that is not named here passes
# through the parser, and back into the bytes, unseen.
_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Model": (("graph", 7, "Graph"), ("training_info", 20, "Other*"), ("functions", 25, "Other*")),
    "Graph": (
        ("node", 1, "Node*"),
        ("initializer", 5, "Tensor*"),
        ("input", 11, "Value*"),
        ("output", 12, "Value*"),
        ("sparse_initializer", 15, "Other*"),
    ),
    "Node": (
        ("input", 1, "text*"),
        ("output", 2, "text*"),
        ("op_type", 4, "text"),
        ("attribute", 5, "Attribute*"),
        ("domain", 7, "text"),
    ),
    "Attribute": (
        ("name", 1, "text"),
        ("i", 3, "int64"),
        ("s", 4, "bytes"),
        ("t", 5, "Tensor"),
        ("g", 6, "Other"),
        ("ints", 8, "int64*"),
        ("tensors", 10, "Tensor*"),
        ("graphs", 11, "Other*"),
        ("type", 20, "int32"),
        ("sparse_tensor", 22, "Other"),
        ("sparse_tensors", 23, "Other*"),
    ),
    "Tensor": (
        ("dims", 1, "int64*"),
        ("data_type", 2, "int32"),
        ("name", 8, "text"),
        ("raw_data", 9, "bytes"),
        ("external_data", 13, "Other*"),
        ("data_location", 14, "int32"),
    ),
    "Value": (("name", 1, "text"), ("type", 2, "Type")),
    "Type": (("tensor_type", 1, "TensorType"),),
    "TensorType": (("shape", 2, "Shape"),),
    "Shape": (("dim", 1, "Dimension*"),),
    "Dimension": (("dim_value", 1, "int64"),),
    "Other": (),
}
_KINDS = descriptor_pb2.FieldDescriptorProto
_PLAIN = {
    "text": _KINDS.TYPE_STRING,
    "bytes": _KINDS.TYPE_BYTES,
    "int32": _KINDS.TYPE_INT32,
    "int64": _KINDS.TYPE_INT64,
}


@cache
def messages() -> dict[str, Any]:
    """Message classes, in a pool of their own: the onnx package may have its names in the common one."""
    file = descriptor_pb2.FileDescriptorProto(name="redoubt_onnx.proto", package="redoubt_onnx", syntax="proto2")
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for name, number, said in fields:
            kind = said.rstrip("*")
            made.field.add(
                name=name,
                number=number,
                label=_KINDS.LABEL_REPEATED if said.endswith("*") else _KINDS.LABEL_OPTIONAL,
                type=_PLAIN.get(kind, _KINDS.TYPE_MESSAGE),
                type_name=None if kind in _PLAIN else f".redoubt_onnx.{kind}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"redoubt_onnx.{name}")) for name in _FIELDS
    }
