"""Networks that return logits, their export to ONNX, and the bundle on disk."""
