"""Verification that an exported network gives digitcli's own probabilities."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Checkpoint, Weights
from digitcli.core.inference import probabilities

Images = npt.NDArray[np.uint8]
Predict = Callable[[Images], npt.NDArray[np.float32]]
"""Maps uint8 (count, 28, 28) to probabilities, float32 (count, classes)."""

_Floats = npt.NDArray[np.float64]

COUNT = 1000
"""Number of test images."""

TOLERANCE = 1e-5
"""Maximum difference of a probability. float32 alone gives 2e-6, and more the lower the
temperature: near 0.05 float32 is too coarse."""


def max_difference(predict: Predict, checkpoint: Checkpoint) -> float:
    """Compares probabilities of ``COUNT`` images, in batches of 1, of 7, and of all others.

    The expected ones are digitcli's own steps in float64, so that the rounding of its float32 does
    not count against the file.

    Returns:
        The maximum difference; infinity if a shape, a dtype or a value is invalid.
    """
    doubles = {name: weight.astype(np.float64) for name, weight in checkpoint.weights.items()}
    exact = replace(checkpoint, weights=cast("Weights", doubles))  # float64, for this purpose only
    images = make_test_images()
    largest = 0.0
    for batch in (images[:1], images[1:8], images[8:]):
        found, expected = predict(batch), probabilities(exact, batch)
        if found.shape != expected.shape or found.dtype != np.float32:
            return np.inf
        if not np.isfinite(found).all():
            return np.inf
        largest = max(largest, float(np.abs(found - expected).max()))
    return largest


def make_test_images() -> Images:
    """Draws the same images each time, with clear and with doubtful answers.

    Half show one to four straight strokes in the box of a digit; half show noise, from fine to
    coarse and from dark to light.

    Returns:
        uint8 (COUNT, 28, 28); the first is black and the second white.
    """
    rng = np.random.default_rng(0)
    images = np.empty((COUNT, 28, 28), np.uint8)
    for image in images[::2]:
        ink = [_draw_stroke(*rng.uniform(4, 24, (2, 2))) for _ in range(rng.integers(1, 5))]
        image[:] = np.maximum.reduce(ink) * 255
    for image in images[1::2]:
        grain = int(rng.choice((1, 2, 4, 7, 14)))
        coarse = rng.uniform(size=(28 // grain, 28 // grain)) ** rng.uniform(0.3, 6)
        image[:] = np.kron(coarse, np.ones((grain, grain))) * 255
    images[0], images[1] = 0, 255
    return images


def _draw_stroke(start: _Floats, end: _Floats) -> _Floats:
    """Draws a soft line between two points, in 0..1, with MNIST's stroke width."""
    points = np.moveaxis(np.indices((28, 28), dtype=np.float64), 0, -1)
    way = end - start
    along = ((points - start) @ way / (way @ way)).clip(0, 1)
    distance = np.linalg.norm(points - start - along[..., None] * way, axis=-1)
    return np.asarray((1.7 - distance).clip(0, 1))
