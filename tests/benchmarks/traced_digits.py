"""MNIST's digits at any size and stroke width, with the sharp edges of a pen.

A digit's 28x28 pixels are enlarged smoothly, and distances from the digit's outline and midline are
stored for every point. There is ink where a distance is below half of the stroke width.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Digit = npt.NDArray[np.uint8]
"""(28, 28), ink light on black."""
Field = npt.NDArray[np.float32]
"""(height, width): distances, ink in 0..1, or factors of light."""
Size = tuple[int, int]
"""Width and height in pixels."""

_SCALE = 8
"""Points of a trace per pixel of MNIST."""
_REACH = 6 * _SCALE
"""Maximum distance in points; no stroke is thicker."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A digit as distances in points; positions are in points, too.

    Attributes:
        outline: Distance from the outline, positive inside.
        midline: Negative distance from the strokes' midline.
        middle: Column and row of the center of the digit's box.
        longest: Longer side of the box.
        half: Half of the typical stroke width.
        path: Columns and rows of the midline, (count, 2).
    """

    outline: Field
    midline: Field
    middle: tuple[float, float]
    longest: float
    half: float
    path: npt.NDArray[np.int64]


def trace(digit: Digit) -> Trace:
    return _trace(digit.tobytes())


@functools.lru_cache(maxsize=16)
def _trace(digit: bytes) -> Trace:
    side = 28 * _SCALE
    pixels = Image.fromarray(np.frombuffer(digit, np.uint8).reshape(28, 28))
    large = pixels.resize((side, side), Image.Resampling.LANCZOS)
    smooth = np.asarray(large.filter(ImageFilter.GaussianBlur(_SCALE * 0.6)))
    ink = smooth > 0.42 * smooth.max()
    thin = _thinned(ink)
    outline = _smoothed(_distance(~ink) - _distance(ink))
    rows, columns = np.nonzero(ink)
    box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return Trace(
        outline=outline,
        midline=-_smoothed(_distance(thin)),
        middle=((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
        longest=float(max(box[2] - box[0], box[3] - box[1])),
        half=float(np.median(outline[thin])),
        path=np.argwhere(thin)[:, ::-1],
    )


def _smoothed(field: Field) -> Field:
    radius = 2
    kernel = np.hanning(2 * radius + 3)[1:-1].astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(field, [(radius, radius) if i == axis else (0, 0) for i in (0, 1)], "edge")
        shifted = (np.roll(padded, i, axis) * k for i, k in zip(range(5), kernel, strict=True))
        field = np.take(sum(shifted), np.arange(4, padded.shape[axis]), axis)
    return field


def _distance(mask: npt.NDArray[np.bool_]) -> Field:
    """Returns the Euclidean distance to the nearest point of a mask, by rows, then columns."""
    index = np.arange(mask.shape[1])
    left = np.maximum.accumulate(np.where(mask, index, -(10**4)), axis=1)
    right = np.minimum.accumulate(np.where(mask, index, 10**4)[:, ::-1], axis=1)[:, ::-1]
    along = np.minimum(np.minimum(index - left, right - index), _REACH).astype(np.float32) ** 2
    squared = np.full_like(along, _REACH**2)
    count = len(mask)
    for k in range(min(_REACH, count)):
        np.minimum(squared[k:], along[: count - k] + k * k, out=squared[k:])
        np.minimum(squared[: count - k], along[k:] + k * k, out=squared[: count - k])
    return np.sqrt(squared)


def _thinned(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Thins strokes to their midline (Zhang and Suen 1984)."""
    thin = np.pad(mask, 1)
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            # Clockwise from above: p2 to p9 of the paper.
            around = [
                np.roll(thin, shift, (0, 1))
                for shift in ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            ]
            count = sum(p.astype(np.int8) for p in around)
            pairs = zip(around, around[1:] + around[:1], strict=True)
            rises = sum((~a & b).astype(np.int8) for a, b in pairs)
            north, _, east, _, south, _, west, _ = around
            kept = (
                (north & east & south) | (east & south & west)
                if first
                else (north & east & west) | (north & south & west)
            )
            gone = thin & (count >= 2) & (count <= 6) & (rises == 1) & ~kept
            if gone.any():
                thin = thin & ~gone
                changed = True
    return thin[1:-1, 1:-1]


@dataclass(frozen=True)
class Place:
    """Longer side and center of a digit in pixels, and its angle in degrees counterclockwise."""

    length: float
    middle: tuple[float, float]
    angle: float


def written(traced: Trace, thickness: float) -> Field:
    """Returns the digit with its strokes thicker by a factor; hairlines are kept."""
    grown = traced.outline + (thickness - 1) * traced.half
    hairline = 0.35 * min(thickness, 1) * traced.half
    return np.asarray(np.maximum(grown, traced.midline + hairline), np.float32)


def penned(traced: Trace, share: float) -> Field:
    """Returns the digit with a stroke width that is a fraction of its longer side."""
    return traced.midline + share * traced.longest / 2


def drawn(traced: Trace, field: Field, size: Size, place: Place) -> Field:
    """Returns the ink, 0..1, of a field's positive part, with anti-aliased edges."""
    scale = place.length / traced.longest
    cosine = math.cos(math.radians(place.angle)) / scale
    sine = math.sin(math.radians(place.angle)) / scale
    x, y = place.middle
    column, row = traced.middle
    matrix = (
        *(cosine, -sine, column - cosine * x + sine * y),
        *(sine, cosine, row - sine * x - cosine * y),
    )
    image = Image.fromarray(field).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=-1e3
    )
    return (np.asarray(image) * np.float32(scale) + np.float32(0.5)).clip(0, 1)


def along(traced: Trace, rng: np.random.Generator, spacing: float) -> npt.NDArray[np.int64]:
    """Returns points of the midline that are at least ``spacing`` apart."""
    left = traced.path
    picked = [left[rng.integers(len(left))]]
    while len(left := left[np.hypot(*(left - picked[-1]).T) >= spacing]):
        picked.append(left[np.argmin(np.hypot(*(left - picked[-1]).T))])
    return np.array(picked)


def dotted(traced: Trace, points: npt.NDArray[np.int64], radius: float) -> Field:
    """Returns round dots at points, given as columns and rows."""
    mask = np.zeros(traced.midline.shape, dtype=bool)
    mask[points[:, 1], points[:, 0]] = True
    return np.float32(radius) - _distance(mask)
