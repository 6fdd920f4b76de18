"""The network in files that other programs run: ONNX, torch's own, and plain arrays."""
