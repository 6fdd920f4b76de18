"""Inference in NumPy: torch takes seconds to import, NumPy a twentieth of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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
    for output in activations(checkpoint, images):
        logits = output  # the last; the others are not kept
    return logits


def activations(
    checkpoint: Checkpoint, images: npt.NDArray[np.uint8]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yields what flows through the network, for the images that ``forward`` takes.

    Yields:
        float32 (count, width): the normalized pixels, each hidden layer after ReLU, the logits.
    """
    metadata, weights = checkpoint.metadata, checkpoint.weights
    pixels = images.reshape(len(images), INPUTS).astype(np.float32) / np.float32(255)
    x: npt.NDArray[np.float32] = (pixels - np.float32(metadata.mean)) / np.float32(metadata.std)
    yield x
    last = len(metadata.layer_sizes) - 1
    for layer in range(1, last + 1):
        x = x @ weights[f"l{layer}.weight"].T + weights[f"l{layer}.bias"]
        if layer < last:
            x = np.maximum(x, 0)
        yield x


@dataclass(frozen=True)
class PixelSteps:
    """A pixel on its way into the network."""

    row: int  # from 0
    column: int  # from 0
    value: int  # 0 (black) to 255
    scaled: float  # in 0..1
    normalized: float  # less the mean, divided by the standard deviation


@dataclass(frozen=True)
class LayerSteps:
    """A layer on an image's way through the network."""

    name: str  # as in the checkpoint, such as "l1"
    inputs: int
    outputs: int
    active: int | None  # units above 0 after ReLU; None for the output layer, which has no ReLU


@dataclass(frozen=True)
class NetworkSteps:
    """How the network came to its scores of an image."""

    mean: float
    std: float
    pixels: tuple[
        PixelSteps, ...
    ]  # the darkest, one nearest to half of the brightest, the brightest
    layers: tuple[LayerSteps, ...]


def network_steps(checkpoint: Checkpoint, image: npt.NDArray[np.uint8]) -> NetworkSteps:
    """Follows an image in MNIST form, uint8 (28, 28), through the network."""
    normalized, *hidden, _ = activations(checkpoint, image[None])
    active = [*(int((output > 0).sum()) for output in hidden), None]
    layers = zip(pairwise(checkpoint.metadata.layer_sizes), active, strict=True)
    flat = image.reshape(-1).astype(int)
    chosen = flat.argmin(), np.abs(flat - flat.max() / 2).argmin(), flat.argmax()
    pixels = []
    for i in map(int, chosen):
        row, column = divmod(i, image.shape[1])
        value = int(flat[i])
        pixels.append(PixelSteps(row, column, value, value / 255, float(normalized[0, i])))
    return NetworkSteps(
        checkpoint.metadata.mean,
        checkpoint.metadata.std,
        tuple(pixels),
        tuple(
            LayerSteps(f"l{number}", inputs, outputs, count)
            for number, ((inputs, outputs), count) in enumerate(layers, start=1)
        ),
    )


def probabilities(checkpoint: Checkpoint, images: npt.NDArray[np.uint8]) -> FloatArray:
    """Returns the softmax of ``forward`` at the checkpoint's temperature, float64."""
    return softmax(forward(checkpoint, images), checkpoint.metadata.temperature)
