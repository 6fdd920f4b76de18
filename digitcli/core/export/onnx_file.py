"""ONNX, which most runtimes read; needs the extra ``onnx``.

The graph is built node by node. There are fewer of them than lines in a call of torch's exporter,
which needs torch and onnxscript, and names and arranges what it makes as it likes.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from digitcli._version import __version__
from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.export.verify import Run

_OPSET, _IR_VERSION = 13, 7
"""The oldest operator set in which all that is used here means what it means today (Softmax was
another before), and the file version that came with it (ONNX 1.8, 2020): what most programs read.
"""


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Writes a network as an ONNX model, and has onnx check that it is valid.

    Args:
        network: As ``folded`` gives it.
        notes: Go into the model's metadata.
    """
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
    content: bytes = model.SerializeToString()
    return content


def unpack(content: bytes) -> Run:
    """Makes a model runnable by onnxruntime, on the CPU."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.asarray(session.run(["probabilities"], {"pictures": pictures})[0])

    return run
