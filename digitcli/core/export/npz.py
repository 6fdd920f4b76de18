"""npz: plain arrays, for readers with NumPy alone or without any library for networks."""

import io
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.export.verify import Predict


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Returns an npz file of a network from ``fold``, its classes, and its other notes as JSON."""
    others = {name: text for name, text in notes.items() if name != "classes"}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **network,  # type: ignore[arg-type]  # mypy: a name could be allow_pickle
        classes=np.array(json.loads(notes["classes"])),
        notes=np.array(json.dumps(others, ensure_ascii=False)),
    )
    return buffer.getvalue()


def unpack(content: bytes) -> Predict:
    """Reads a file as its users do; the function returned is all that they have to compute."""
    net = np.load(io.BytesIO(content))

    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = images.reshape(-1, 784)
        for n in range(1, len(net.files) // 2):  # maximum is ReLU, and leaves pixels unchanged
            x = np.maximum(x, 0) @ net[f"l{n}.weight"].T + net[f"l{n}.bias"]
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    return predict
