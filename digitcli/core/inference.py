"""Inference in NumPy: torch takes seconds to import, NumPy a twentieth of one."""

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import INPUTS
from digitcli.core.softmax import FloatArray, softmax


def forward(checkpoint: Checkpoint, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Runs the network on images in MNIST form.

    Args:
        checkpoint: Weights and normalization.
        images: uint8 (count, 28, 28), light ink on black.

    Returns:
        Logits, float32 (count, classes).
    """
    metadata, weights = checkpoint.metadata, checkpoint.weights
    pixels = images.reshape(len(images), INPUTS).astype(np.float32) / np.float32(255)
    x = (pixels - np.float32(metadata.mean)) / np.float32(metadata.std)
    last = len(metadata.layer_sizes) - 1
    for layer in range(1, last + 1):
        x = x @ weights[f"l{layer}.weight"].T + weights[f"l{layer}.bias"]
        if layer < last:
            x = np.maximum(x, 0)
    return x


def probabilities(checkpoint: Checkpoint, images: npt.NDArray[np.uint8]) -> FloatArray:
    """Returns the softmax of ``forward`` at the checkpoint's temperature, float64."""
    return softmax(forward(checkpoint, images), checkpoint.metadata.temperature)
