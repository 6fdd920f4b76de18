"""Inference in NumPy alone: torch costs seconds to import, this a twentieth of one."""

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import INPUTS
from digitcli.core.softmax import FloatArray, softmax


def forward(checkpoint: Checkpoint, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Runs the network on pictures in MNIST form.

    Args:
        checkpoint: Weights and normalisation.
        images: uint8 of shape (count, 28, 28), ink light on black.

    Returns:
        Scores (logits), float32 of shape (count, classes).
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
    """Gives the probability of each class, at the checkpoint's temperature.

    Args:
        checkpoint: Weights, normalisation and temperature.
        images: uint8 of shape (count, 28, 28), ink light on black.

    Returns:
        float64 of shape (count, classes); each row sums to one.
    """
    return softmax(forward(checkpoint, images), checkpoint.metadata.temperature)
