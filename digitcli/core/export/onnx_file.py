"""ONNX, which most runtimes read; needs the extra ``onnx``.

The graph is built node by node, which takes fewer lines than a call of torch's exporter. That
needs torch and onnxscript, and chooses its own names and nodes.
"""

import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from digitcli._version import __version__
from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.export.verify import Predict
from digitcli.core.imports import import_errors, install_extra

# before the import: onnxruntime would store a device id and a database of events, and send them
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
with import_errors("ONNX files need onnx and onnxruntime", install_extra("onnx")):
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

_OPSET, _IR_VERSION = 13, 7
"""The oldest operator set with today's meaning of all operators used here (Softmax differed before)
and its file version (ONNX 1.8, 2020), which most programs read."""


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Returns an ONNX model of a network from ``fold``, checked by onnx, with notes as metadata."""
    layers = len(network) // 2
    classes = len(network[f"l{layers}.bias"])
    nodes = [
        helper.make_node("Cast", ["pictures"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["levels"], ["x0"]),
    ]
    for n in range(1, layers + 1):
        inputs = [f"x{n - 1}", f"l{n}.weight", f"l{n}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [f"z{n}"], transB=1))
        if n < layers:
            nodes.append(helper.make_node("Relu", [f"z{n}"], [f"x{n}"]))
    nodes.append(helper.make_node("Softmax", [f"z{layers}"], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "digitcli",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["batch", 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(array, name) for name, array in network.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="digitcli",
        producer_version=__version__,
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    helper.set_model_props(model, dict(notes))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def unpack(content: bytes) -> Predict:
    """Loads a model into onnxruntime, on the CPU."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.asarray(session.run(["probabilities"], {"pictures": images})[0])

    return predict
