"""Inference in NumPy alone: torch costs seconds to import, this a twentieth of one."""

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpoint import Checkpoint


def forward(checkpoint: Checkpoint, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Runs the network on pictures in MNIST form.

    Args:
        checkpoint: Weights and normalisation.
        images: uint8 of shape (count, 28, 28), ink light on black.

    Returns:
        Scores (logits), float32 of shape (count, classes).
    """
    metadata, weights = checkpoint.metadata, checkpoint.weights
    pixels = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    x = (pixels - np.float32(metadata.mean)) / np.float32(metadata.std)
    last = len(metadata.layer_sizes) - 1
    for layer in range(1, last + 1):
        x = x @ weights[f"l{layer}.weight"].T + weights[f"l{layer}.bias"]
        if layer < last:
            x = np.maximum(x, 0)
    return x
