"""Pictures that are no digits, to train with: what a network has never seen, it is sure of.

A classifier trained on digits alone calls a letter a digit with full confidence. Shown such
pictures while it trains, with no class to prefer, it learns to have none (outlier exposure;
Hendrycks, Mazeika and Dietterich 2019), and carries that over to others.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcli.core.errors import BlankPictureError
from digitcli.data.prepare import SIDE, Picture, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

Pictures = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

_LETTERS = "ACDEFGHKMNPRTUVWXYLacdefhkmnprtuvwxyj&?#@%+=*$"
"""Letters and signs apart from those that also are ways to write a digit, such as O, I, S and b."""

_COUNT = 4200
"""Made once for a run; deformed anew whenever they are seen, that is variety enough."""

_CANVAS = 84
"""Pixels of the side that outliers are drawn at: three times that of the result."""


def make_outliers(images: Pictures, labels: Labels, seed: int) -> Pictures:
    """Makes pictures in MNIST form that show no digit.

    Args:
        images: uint8 (any, 28, 28), digits to turn, splice and crowd.
        labels: int64 (any,), which digits these are.
        seed: Equal seeds make equal pictures.

    Returns:
        uint8 (4200, 28, 28).
    """
    rng = np.random.default_rng(seed)
    kinds: tuple[Callable[[], Pictures], ...] = (
        lambda: _letter(rng),
        lambda: _letter(rng),
        lambda: _letter(rng),
        lambda: _turned(images, labels, rng),
        lambda: _spliced(images, labels, rng),
        lambda: _crowded(images, rng),
        lambda: _scribble(rng),
    )
    made: list[Picture] = []
    while len(made) < _COUNT:
        kind = kinds[len(made) % len(kinds)]
        grey = kind().astype(np.float32) / np.float32(255)
        try:
            made.append(prepare(grey).picture)
        except BlankPictureError:  # nothing of it is left: another is drawn
            continue
    return np.stack(made)


def _letter(rng: np.random.Generator) -> Pictures:
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    ImageDraw.Draw(canvas).text(
        (_CANVAS / 2, _CANVAS / 2),
        str(rng.choice(list(_LETTERS))),
        fill=255,
        font=ImageFont.load_default(int(rng.integers(40, 64))),
        anchor="mm",
        stroke_width=int(rng.integers(0, 3)),
    )
    return np.asarray(canvas.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR))


def _turned(images: Pictures, labels: Labels, rng: np.random.Generator) -> Pictures:
    """A digit on its side, or in the mirror where that makes no other digit of it."""
    mirror = rng.random() < 0.4
    i = rng.choice(np.flatnonzero(np.isin(labels, (3, 4, 7, 9) if mirror else (1, 2, 3, 4, 5, 7))))
    return np.flip(images[i], axis=1) if mirror else np.rot90(images[i], rng.choice((1, 3)))


def _spliced(images: Pictures, labels: Labels, rng: np.random.Generator) -> Pictures:
    """The upper half of one digit above that of another; of ones it would be a one again."""
    one, other = images[rng.choice(np.flatnonzero(labels != 1), size=2)]
    half = SIDE // 2
    return np.concatenate([one[:half], other[:half]])


def _crowded(images: Pictures, rng: np.random.Generator) -> Pictures:
    """Two or three digits in a row, near enough to be taken for one shape."""
    row = images[rng.integers(len(images), size=rng.integers(2, 4))]
    trimmed = [digit[:, digit.any(axis=0)] for digit in row]
    return np.pad(np.concatenate(trimmed, axis=1), 6)


def _scribble(rng: np.random.Generator) -> Pictures:
    """Angular shapes, empty or filled, and zigzags."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 4)):
        points = [tuple(point) for point in rng.uniform(12, 72, (rng.integers(5, 10), 2)).tolist()]
        pen = int(rng.integers(3, 10))
        shape = rng.integers(3)
        if shape == 0:
            draw.polygon(points[:5], outline=255, width=pen)
        elif shape == 1:
            draw.polygon(points[:4], fill=255)
        else:
            draw.line(points, fill=255, width=pen, joint="curve")
    return np.asarray(canvas)
