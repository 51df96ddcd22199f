"""An ONNX graph with an input for each column of a table, as of a scikit-learn pipeline on a frame, as one with one."""

import re

import onnx
from onnx import TensorProto, helper

from redoubt.targets.contract import TargetError

TABLE = "redoubt_table"
NOTE = "its {count} inputs of one column each are read as one table, {how}"


def as_one_table(model: onnx.ModelProto, features: tuple[str, ...], columns: int) -> tuple[onnx.ModelProto, list[str]]:
    """The same graph with one input, from which the columns are cut; any other graph as it is.

    Args:
        model: as read.
        features: names of the columns of the examples; empty where they have none.
        columns: of the examples.

    Returns:
        A graph, and what was done, in words.

    Raises:
        TargetError: its inputs are columns by other names than the examples'.
    """
    held = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in held]
    kinds = {each.type.tensor_type.elem_type for each in inputs}
    if len(inputs) < 2 or len(inputs) != columns or len(kinds) != 1 or not all(map(_is_column, inputs)):
        return model, []
    names = [each.name for each in inputs]
    by_name = {_plain(name): name for name in names}
    unknown = [each for each in features if _plain(each) not in by_name]
    if unknown or (features and len(by_name) != len(names)):
        raise TargetError(
            f"its inputs are the columns {', '.join(names[:10])}; the examples have {', '.join(unknown[:10])}: name"
            " both alike"
        )
    order = [by_name[_plain(each)] for each in features] or names
    made = onnx.ModelProto()
    made.CopyFrom(model)
    kept = [each for each in made.graph.input if each.name in held]
    del made.graph.input[:]
    made.graph.input.extend([helper.make_tensor_value_info(TABLE, kinds.pop(), [None, columns]), *kept])
    cuts = [_cut(name, place, made.graph) for place, name in enumerate(order)]
    nodes = [*cuts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made, [NOTE.format(count=columns, how="by their names" if features else "in their order")]


def _plain(name: str) -> str:
    """As exporters write a column's name, with signs that no variable has."""
    return re.sub(r"\W", "_", name)


def _is_column(value: onnx.ValueInfoProto) -> bool:
    sides = value.type.tensor_type.shape.dim
    numbers = (TensorProto.FLOAT, TensorProto.DOUBLE)
    return value.type.tensor_type.elem_type in numbers and len(sides) == 2 and sides[1].dim_value == 1


def _cut(name: str, place: int, graph: onnx.GraphProto) -> onnx.NodeProto:
    """A node that makes the column out of the table; its numbers join what the graph holds."""
    ends = []
    for end, value in (("start", place), ("end", place + 1), ("axis", 1)):
        ends.append(f"{TABLE}_{place}_{end}")
        graph.initializer.append(helper.make_tensor(ends[-1], TensorProto.INT64, [1], [value]))
    return helper.make_node("Slice", [TABLE, *ends], [name])
