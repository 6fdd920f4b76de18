"""Making sure that an exported network answers as digitcli does."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Checkpoint, Weights
from digitcli.core.inference import probabilities

Pictures = npt.NDArray[np.uint8]
Run = Callable[[Pictures], npt.NDArray[np.float32]]
"""Maps uint8 (count, 28, 28) to probabilities, float32 (count, classes)."""

_Point = npt.NDArray[np.float64]

COUNT = 1000
TOLERANCE = 1e-5
"""By which a probability may differ. float32 alone makes 2e-6, and more the lower the temperature:
near 0.05 it is not fine enough."""


def largest_difference(run: Run, checkpoint: Checkpoint) -> float:
    """Compares answers to ``COUNT`` pictures, in batches of one, of seven, and of all others.

    What they are compared with is worked out by digitcli's own steps in float64, so that the
    rounding of digitcli's float32 is not laid to the file's charge.

    Returns:
        The largest difference of a probability; infinity where the shape or type is another, or
        a value is no number.
    """
    doubles = {name: weight.astype(np.float64) for name, weight in checkpoint.weights.items()}
    exact = replace(checkpoint, weights=cast("Weights", doubles))  # not float32, for once
    pictures = check_pictures()
    largest = 0.0
    for batch in (pictures[:1], pictures[1:8], pictures[8:]):
        found, expected = run(batch), probabilities(exact, batch)
        if found.shape != expected.shape or found.dtype != np.float32:
            return np.inf
        if not np.isfinite(found).all():
            return np.inf
        largest = max(largest, float(np.abs(found - expected).max()))
    return largest


def check_pictures() -> Pictures:
    """Draws pictures that networks are sure of and others that they are not, always the same.

    Half are of strokes, one to four straight ones in the box of a digit; half are of noise, from
    fine to coarse, from dark to light.

    Returns:
        uint8 (COUNT, 28, 28); the first is black and the second white.
    """
    rng = np.random.default_rng(0)
    pictures = np.empty((COUNT, 28, 28), np.uint8)
    for picture in pictures[::2]:
        ink = [_stroke(*rng.uniform(4, 24, (2, 2))) for _ in range(rng.integers(1, 5))]
        picture[:] = np.maximum.reduce(ink) * 255
    for picture in pictures[1::2]:
        grain = int(rng.choice((1, 2, 4, 7, 14)))
        coarse = rng.uniform(size=(28 // grain, 28 // grain)) ** rng.uniform(0.3, 6)
        picture[:] = np.kron(coarse, np.ones((grain, grain))) * 255
    pictures[0], pictures[1] = 0, 255
    return pictures


def _stroke(start: _Point, end: _Point) -> npt.NDArray[np.float64]:
    """Draws a soft line between two points, in 0..1, as wide as MNIST's pen."""
    points = np.moveaxis(np.indices((28, 28), dtype=np.float64), 0, -1)
    way = end - start
    along = ((points - start) @ way / (way @ way)).clip(0, 1)
    distance = np.linalg.norm(points - start - along[..., None] * way, axis=-1)
    return np.asarray((1.7 - distance).clip(0, 1))
