"""Export of the network for other programs: ONNX, pt2 and npz."""
