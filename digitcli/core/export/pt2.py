"""pt2: an exported torch program, which needs torch to run and nothing of digitcli."""

import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim
from typing_extensions import override

from digitcli.core.checkpointing.checkpoint import Weights
from digitcli.core.export.verify import Predict
from digitcli.core.model import load_mlp

_CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Variable that names the folder of the cache of torch's compiler."""


class _Program(nn.Module):
    """The network from uint8 (batch, 28, 28) to probabilities, float32 (batch, classes)."""

    def __init__(self, network: Weights) -> None:
        super().__init__()
        self.network = load_mlp(network, torch.device("cpu"))

    @override
    def forward(self, pictures: Tensor) -> Tensor:
        logits = self.network(pictures.flatten(start_dim=1).float())
        return torch.softmax(logits, dim=1)


def pack(network: Weights, notes: Mapping[str, str]) -> bytes:
    """Returns a torch program of a network from ``fold``, with each note as an extra file."""
    # torch.export would specialize a batch of 1
    example = torch.zeros((2, 28, 28), dtype=torch.uint8)
    buffer = io.BytesIO()
    with _cache_removed():
        program = torch.export.export(
            _Program(network).eval(), (example,), dynamic_shapes=({0: Dim("batch")},)
        )
        torch.export.save(program, buffer, extra_files=dict(notes))
    return buffer.getvalue()


def unpack(content: bytes) -> Predict:
    """Loads a program, on the CPU."""
    with warnings.catch_warnings(), _cache_removed():
        # raised by torch 2.11's own reading of the weights, which nothing writes to
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        module = torch.export.load(io.BytesIO(content)).module()

    @torch.inference_mode()
    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return module(torch.from_numpy(images)).numpy()

    return predict


@contextmanager
def _cache_removed() -> Iterator[None]:
    """Has torch's compiler keep its cache, which a single export does not need, in this block only.

    It would leave the folder ``torchinductor_USER`` beside temporary files. A folder that the user
    has set is used.
    """
    if _CACHE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="digitcli-", ignore_cleanup_errors=True) as folder:
        os.environ[_CACHE] = folder
        try:
            yield
        finally:
            os.environ.pop(_CACHE, None)
