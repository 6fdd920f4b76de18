"""Plain arrays, npz, for a reader that has NumPy alone or no library for networks at all."""

import io
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.export.verify import Run


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Writes a network's arrays, and beside them its class names and notes.

    Args:
        network: As ``folded`` gives it: ``l1.weight`` (outputs, inputs), ``l1.bias`` and so on.
        notes: Become one JSON document, ``notes``, less the classes.
    """
    others = {name: text for name, text in notes.items() if name != "classes"}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **network,  # type: ignore[arg-type]  # a name could be allow_pickle, for all mypy knows
        classes=np.array(json.loads(notes["classes"])),
        notes=np.array(json.dumps(others, ensure_ascii=False)),
    )
    return buffer.getvalue()


def unpack(content: bytes) -> Run:
    """Reads the arrays; what it does with them is all that a reader has to do."""
    net = np.load(io.BytesIO(content))

    def run(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = pictures.reshape(-1, 784)
        for n in range(1, 6):  # maximum is ReLU, and leaves pixels as they are
            x = np.maximum(x, 0) @ net[f"l{n}.weight"].T + net[f"l{n}.bias"]
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    return run
