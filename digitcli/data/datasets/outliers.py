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
from digitcli.data.preprocessing.mnist_form import SIDE, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitcli.data.arrays import Image28

Pictures = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

_LETTERS = "ACDEFGHKMNPRTUVWXYLacdefhkmnprtuvwxyj&?#@%+=*$"
"""Letters and signs apart from those that also are ways to write a digit, such as O, I, S and b."""

_COUNT = 3000
"""Made once for a run; deformed anew whenever they are seen, that is variety enough."""

_CANVAS = 84
"""Pixels of the side that outliers are drawn at: three times that of the result."""


def can_be_made(classes: tuple[str, ...]) -> bool:
    """Says whether pictures of no digit show none of a network's classes: these are the digits."""
    return set(classes) == set("0123456789")


def make_outliers(images: Pictures, labels: Labels, seed: int) -> Pictures:
    """Makes pictures in MNIST form that show no digit.

    Args:
        images: uint8 (any, 28, 28), digits to turn, splice and crowd.
        labels: int64 (any,), which digits these are.
        seed: Equal seeds make equal pictures.

    Returns:
        uint8 (3000, 28, 28).
    """
    rng = np.random.default_rng(seed)
    kinds: tuple[Callable[[], Pictures], ...] = (
        lambda: _letter(rng),
        lambda: _letter(rng),
        lambda: _letter(rng),
        lambda: _letter(rng),
        lambda: _turned(images, labels, rng),
        lambda: _spliced(images, labels, rng),
        lambda: _crowded(images, rng),
        lambda: _scribble(rng),
        lambda: _drawing(rng),
        lambda: _outline(rng),
        lambda: _blobs(rng),
    )
    made: list[Image28] = []
    while len(made) < _COUNT:
        kind = kinds[len(made) % len(kinds)]
        grey = kind().astype(np.float32) / np.float32(255)
        try:
            shape = prepare(grey)
        except BlankPictureError:  # nothing of it is left: another is drawn
            continue
        if not shape.others:  # else it is but a part of what was drawn, perhaps a stroke like a 1
            made.append(shape.image)
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


def _drawing(rng: np.random.Generator) -> Pictures:
    """Circles, boxes and lines over each other, as faces, houses and flowers are drawn."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(canvas)
    pen = int(rng.integers(3, 8))
    for _ in range(rng.integers(3, 7)):
        (left, right), (top, bottom) = np.sort(rng.uniform(8, 76, (2, 2)), axis=1).tolist()
        shape = rng.integers(3)
        if shape == 0:
            draw.ellipse((left, top, right, bottom), outline=255, width=pen)
        elif shape == 1:
            draw.rectangle((left, top, right, bottom), outline=255, width=pen)
        else:
            draw.line((left, bottom, right, top), fill=255, width=pen)
    return np.asarray(canvas)


def _outline(rng: np.random.Generator) -> Pictures:
    """A closed line with bays and points, as hearts, stars and clouds have them, or filled."""
    angle = np.linspace(0, 2 * np.pi, 120)
    radius = np.ones_like(angle)
    for lobes in rng.choice((3, 4, 5, 6), 2, replace=False):
        wave = np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
        radius += rng.uniform(0.15, 0.45) * (np.abs(wave) if rng.random() < 0.5 else wave)
    radius *= 32 / radius.max()
    x, y = (_CANVAS / 2 + radius * turn(angle) for turn in (np.cos, np.sin))
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    if rng.random() < 0.3:
        ImageDraw.Draw(canvas).polygon(points, fill=255)
    else:
        ImageDraw.Draw(canvas).line(points, fill=255, width=int(rng.integers(3, 9)), joint="curve")
    return np.asarray(canvas)


def _blobs(rng: np.random.Generator) -> Pictures:
    """Clouds of light and dark, as a photo of anything has them."""
    size = int(rng.integers(4, 12))
    coarse = Image.fromarray(rng.normal(size=(size, size)).astype(np.float32))
    smooth = np.asarray(coarse.resize((_CANVAS, _CANVAS), Image.Resampling.BICUBIC))
    lowest, highest = np.percentile(smooth, (rng.uniform(20, 80), 100))
    share = ((smooth - lowest) / (highest - lowest)).clip(0, 1)
    levels: Pictures = np.rint(255 * share).astype(np.uint8)
    return levels
