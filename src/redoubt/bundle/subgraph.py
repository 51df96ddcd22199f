"""Cuts a part out of an ONNX graph; needs the onnx package, which the service does not install."""

import onnx
import onnx.shape_inference
import onnx.utils


def extract(model: bytes, start: str, end: str) -> bytes:
    """The part of a model between two of its named values, as a model of its own."""
    whole = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    return onnx.utils.Extractor(whole).extract_model([start], [end]).SerializeToString()
