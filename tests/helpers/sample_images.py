"""The sample images of the pages: digits written with a gray pen on paper."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from replayed_strokes import hand

_SCALE = 4
"""Pixels drawn for each pixel of the result, along each axis."""

_PAPER, _PEN = 234, 74


def seven() -> Image.Image:
    """Returns a handwritten 7 on a sheet of 200x260 pixels."""
    return _written([(7, 1)], (200, 260), height=150, pen=9)


def nine() -> Image.Image:
    """Returns a handwritten 9 on a sheet of 200x260 pixels."""
    return _written([(9, 4)], (200, 260), height=150, pen=9)


def postcode() -> Image.Image:
    """Returns the five digits 90245, written side by side."""
    digits = [(9, 4), (0, 3), (2, 2), (4, 5), (5, 6)]
    return _written(digits, (420, 130), height=76, pen=6)


def _written(
    digits: list[tuple[int, int]], size: tuple[int, int], *, height: float, pen: int
) -> Image.Image:
    """Writes digits in one row.

    Args:
        digits: Each digit, and the seed of the hand that writes it.
        size: Width and height of the sheet, in pixels.
        height: Height of a digit, in pixels.
        pen: Stroke width, in pixels.
    """
    mask = Image.new("L", (size[0] * _SCALE, size[1] * _SCALE))
    drawing = ImageDraw.Draw(mask)
    for place, (digit, seed) in enumerate(digits):
        strokes = hand(digit, seed)
        points = np.concatenate([np.asarray(stroke) for stroke in strokes])
        low, high = points.min(axis=0), points.max(axis=0)
        middle = np.array([(place + 0.5) * size[0] / len(digits), size[1] / 2])
        for stroke in strokes:
            moved = (np.asarray(stroke) - (low + high) / 2) * height / (high - low)[1] + middle
            _draw(drawing, moved * _SCALE, pen * _SCALE)
    mask = mask.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.7))
    sheet = Image.composite(Image.new("L", size, _PEN), Image.new("L", size, _PAPER), mask)
    grain = np.random.default_rng(7).normal(0, 2, (size[1], size[0]))
    return Image.fromarray((np.asarray(sheet) + grain).round().clip(0, 255).astype(np.uint8))


def _draw(drawing: ImageDraw.ImageDraw, points: npt.NDArray[np.float64], width: float) -> None:
    drawing.line([(x, y) for x, y in points], 255, round(width), joint="curve")
    for x, y in points:
        drawing.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 255)


def _small(digit: int, seed: int) -> Image.Image:
    """Returns a digit on a sheet of 48x60 pixels."""
    return _written([(digit, seed)], (48, 60), height=36, pen=3)


COMMITTED: dict[str, Callable[[], Image.Image]] = {
    "seven": seven,
    "postcode": postcode,
    **{
        f"handwriting/{digit}/{number}": partial(_small, digit, seed)
        for digit in range(10)
        for number, seed in enumerate(range(10, 16), start=1)
    },
}
"""The images in ``tests/images/``, by name: samples, and a folder of six for each digit."""
