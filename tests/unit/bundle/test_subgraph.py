"""A part cut out of a graph computes what it computes inside the whole."""

import numpy as np
import onnx
import pytest

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.model.subgraph import first_variant
from tests.support import tiny


@pytest.mark.parametrize("eps", [0.0, 0.05, 0.3])
def test_the_network_alone_is_proven_as_the_first_variant_is(guarded: tiny.Guarded, eps: float) -> None:
    model, x = guarded.model, guarded.case.test.x[:40]
    assert np.array_equal(model.prove_network(x, eps), model.prove(x, eps, np.random.default_rng(3))[:, 0])


def test_a_graph_of_another_form_is_refused() -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    proof = onnx.helper.make_tensor_value_info("proof", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["proof"])], "other", [value], [proof])
    with pytest.raises(BundleError, match="another form"):
        first_variant(onnx.helper.make_model(graph).SerializeToString())
