"""Non-digit images for outlier exposure (Hendrycks, Mazeika and Dietterich 2019).

A classifier trained on digits alone calls a letter a digit with full confidence. Trained also on
images of other things, with no class to prefer, it learns to be unsure of those and of others.
"""

from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Image28
from digitcli.data.download.manifest import DIGITS
from digitcli.data.preprocessing.mnist_form import SIDE, prepare

Labels = npt.NDArray[np.int64]

_LETTERS = "ACDEFGHKMNPRTUVWXYLacdefhkmnprtuvwxyj&?#@%+=*$"
"""Letters and signs, without those that are also ways to write a digit, such as O, I, S and b."""

_COUNT = 3000  # enough variety for a run, since they are deformed differently in every epoch
_CANVAS = 3 * SIDE  # side in pixels of the canvas that shapes are drawn on


def supports_outliers(classes: tuple[str, ...]) -> bool:
    """Returns True if the classes are the ten digits: the images show none of those."""
    return set(classes) == set(DIGITS)


def make_outliers(images: Image28, labels: Labels, seed: int) -> Image28:
    """Generates images in MNIST form that show no digit, equal ones for equal seeds.

    Args:
        images: uint8 (any, 28, 28), digits to rotate, splice and crowd.
        labels: int64 (any,), the digits.
        seed: Seed of all random choices.

    Returns:
        uint8 (3000, 28, 28).
    """
    rng = np.random.default_rng(seed)
    generators = (
        *(partial(_letter, rng) for _ in range(4)),
        partial(_turned_digit, images, labels, rng),
        partial(_spliced_digits, images, labels, rng),
        partial(_crowded_digits, images, rng),
        partial(_scribble, rng),
        partial(_drawing, rng),
        partial(_outline, rng),
        partial(_blobs, rng),
    )
    made: list[Image28] = []
    while len(made) < _COUNT:
        gray = generators[len(made) % len(generators)]().astype(np.float32) / np.float32(255)
        try:
            outlier = prepare(gray)
        except BlankPictureError:
            continue
        if not outlier.others:  # else it is one part of the drawing, perhaps a stroke like a 1
            made.append(outlier.image)
    return np.stack(made)


def _letter(rng: np.random.Generator) -> Image28:
    """A letter or sign, slightly rotated."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    letter = str(rng.choice(list(_LETTERS)))
    font = ImageFont.load_default(int(rng.integers(40, 64)))
    bold, middle = int(rng.integers(0, 3)), (_CANVAS / 2, _CANVAS / 2)
    ImageDraw.Draw(canvas).text(middle, letter, 255, font, "mm", stroke_width=bold)
    return np.asarray(canvas.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR))


def _turned_digit(images: Image28, labels: Labels, rng: np.random.Generator) -> Image28:
    """A digit on its side, or mirrored if its mirror image is no digit."""
    mirror = rng.random() < 0.4
    i = rng.choice(np.flatnonzero(np.isin(labels, (3, 4, 7, 9) if mirror else (1, 2, 3, 4, 5, 7))))
    return np.flip(images[i], axis=1) if mirror else np.rot90(images[i], rng.choice((1, 3)))


def _spliced_digits(images: Image28, labels: Labels, rng: np.random.Generator) -> Image28:
    """The upper half of one digit above that of another; not of ones, which would make a one."""
    one, other = images[rng.choice(np.flatnonzero(labels != 1), size=2)]
    half = SIDE // 2
    return np.concatenate([one[:half], other[:half]])


def _crowded_digits(images: Image28, rng: np.random.Generator) -> Image28:
    """Two or three digits in a row, close enough to form one component."""
    row = images[rng.integers(len(images), size=rng.integers(2, 4))]
    trimmed = [digit[:, digit.any(axis=0)] for digit in row]
    return np.pad(np.concatenate(trimmed, axis=1), 6)


def _scribble(rng: np.random.Generator) -> Image28:
    """Polygons, empty or filled, and zigzags."""
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


def _drawing(rng: np.random.Generator) -> Image28:
    """Overlapping circles, boxes and lines, as in drawings of faces, houses and flowers."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(canvas)
    pen = int(rng.integers(3, 8))
    for _ in range(rng.integers(3, 7)):
        (left, right), (top, bottom) = np.sort(rng.uniform(8, 76, (2, 2)), axis=1).tolist()
        shape = rng.integers(3)
        if shape < 2:
            draw_box = draw.ellipse if shape == 0 else draw.rectangle
            draw_box((left, top, right, bottom), outline=255, width=pen)
        else:
            draw.line((left, bottom, right, top), fill=255, width=pen)
    return np.asarray(canvas)


def _outline(rng: np.random.Generator) -> Image28:
    """A closed wavy or pointed outline, like a heart, star or cloud; or the same filled."""
    angle = np.linspace(0, 2 * np.pi, 120)
    radius = np.ones_like(angle)
    for lobes in rng.choice((3, 4, 5, 6), 2, replace=False):
        wave = np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
        radius += rng.uniform(0.15, 0.45) * (np.abs(wave) if rng.random() < 0.5 else wave)
    radius *= 32 / radius.max()
    x, y = (_CANVAS / 2 + radius * function(angle) for function in (np.cos, np.sin))
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(canvas)
    if rng.random() < 0.3:
        draw.polygon(points, fill=255)
    else:
        draw.line(points, fill=255, width=int(rng.integers(3, 9)), joint="curve")
    return np.asarray(canvas)


def _blobs(rng: np.random.Generator) -> Image28:
    """Smooth patches of light and dark, as in any photo."""
    size = int(rng.integers(4, 12))
    coarse = Image.fromarray(rng.normal(size=(size, size)).astype(np.float32))
    smooth = np.asarray(coarse.resize((_CANVAS, _CANVAS), Image.Resampling.BICUBIC))
    lowest, highest = np.percentile(smooth, (rng.uniform(20, 80), 100))
    return np.rint(255 * ((smooth - lowest) / (highest - lowest)).clip(0, 1)).astype(np.uint8)
