"""torch's own format, pt2: a traced program, which needs torch to run and nothing of digitcli."""

import io
import warnings
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.export.verify import Run
from digitcli.core.model import load_mlp


class _Program(nn.Module):
    """Pictures in, probabilities out."""

    def __init__(self, network: Weights) -> None:
        super().__init__()
        self.network = load_mlp(network, torch.device("cpu"))

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps uint8 (batch, 28, 28) to float32 (batch, classes)."""
        logits = self.network(pictures.flatten(start_dim=1).float())
        return torch.softmax(logits, dim=1)


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Writes a network as an exported torch program.

    Args:
        network: As ``folded`` gives it.
        notes: Go in beside the program, a file each.
    """
    example = torch.zeros((2, 28, 28), dtype=torch.uint8)  # one picture would be taken for all
    program = torch.export.export(
        _Program(network).eval(), (example,), dynamic_shapes=({0: Dim("batch")},)
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(notes))
    return buffer.getvalue()


def unpack(content: bytes) -> Run:
    """Loads a program, on the CPU."""
    with warnings.catch_warnings():
        # of torch 2.11's own reading of the weights, which nobody writes to
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        module = torch.export.load(io.BytesIO(content)).module()

    @torch.inference_mode()
    def run(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        probabilities: Tensor = module(torch.from_numpy(pictures))
        return probabilities.numpy()

    return run
