"""Non-digit images for outlier exposure (Hendrycks, Mazeika and Dietterich 2019).

A classifier trained on digits alone calls a letter a digit with full confidence. Trained also on
images of other things, with no class to prefer, it learns to be unsure of those and of others.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Box, Image28, Ink, bounding_box, pixels_of
from digitcli.data.datasets.glyphs import TRAIN, as_gray, digit_faces, non_digit_glyphs
from digitcli.data.datasets.hand_shapes import arrow, hand_shape, heart, loops, word, zigzag
from digitcli.data.datasets.strokes import Rng, Strokes, draw
from digitcli.data.datasets.synthetic import SEGMENT_LETTERS, draw_segments, vary_glyph
from digitcli.data.download.manifest import DIGITS
from digitcli.data.preprocessing.components import find_components
from digitcli.data.preprocessing.mnist_form import SIDE, prepare, to_mnist_form

Labels = npt.NDArray[np.int64]

_LETTERS = "ACDEFGHKMNPRTUVWXYLacdefhkmnprtuvwxyj&?#@%+=*$"
"""Letters and signs, without those that are also ways to write a digit, such as O, I, S and b."""

_COUNT = 7000  # enough variety for a run, since they are deformed differently in every epoch
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
        uint8 (7000, 28, 28).
    """
    rng = np.random.default_rng(seed)
    digits = _Digits(images, labels, rng)
    glyphs = non_digit_glyphs(TRAIN)
    strokes = {
        hand_shape: {"slant": (-0.15, 0.3), "aspect": (0.7, 1.2)},
        arrow: {"slant": (0.0, 0.0), "aspect": (1.0, 1.0), "pen": (0.04, 0.14)},
        word: {"aspect": (0.7, 1.2), "pen": (0.03, 0.09)},
        heart: {"slant": (-0.1, 0.1), "aspect": (0.7, 1.2), "pen": (0.04, 0.14)},
        loops: {"aspect": (1.0, 1.0), "pen": (0.04, 0.12)},
        zigzag: {"aspect": (1.0, 1.0), "pen": (0.04, 0.14)},
    }
    by_hand = [partial(_drawn_strokes, rng, shape, options) for shape, options in strokes.items()]
    clean: tuple[Callable[[], Ink], ...] = (
        *(partial(_glyph, glyphs, rng) for _ in range(7)),
        *(by_hand[0] for _ in range(7)),
        *(by_hand[1] for _ in range(2)),
        *by_hand[2:],
        by_hand[3],  # hearts, which resemble a 0
        partial(_letter, rng),
        partial(_segment_letter, rng),
        partial(_turned_digit, digits, rng),
        partial(_spliced_digits, digits),
        partial(_crowded_digits, digits, rng),
        partial(_inverted_digit, digits, rng),
        partial(_inverted_digit, digits, rng),
        partial(_part_of_digit, digits, rng),
        partial(_digit_beside_part, digits, rng),
        partial(_digit_at_edge, digits, rng),
        partial(_digit_at_edge, digits, rng),
        partial(_outline, rng),
    )
    drawings = (  # of which some have several parts
        partial(_scribble, rng),
        partial(_drawing, rng),
        partial(_blobs, rng),
    )
    made: list[Image28] = []
    kinds = len(clean) + len(drawings)
    while len(made) < _COUNT:
        kind = len(made) % kinds
        if kind < len(clean):
            made.append(to_mnist_form(clean[kind]()))
            continue
        gray = drawings[kind - len(clean)]().astype(np.float32) / np.float32(255)
        try:
            outlier = prepare(gray)
        except BlankPictureError:
            continue
        if not outlier.others:  # else it is one part of the drawing, perhaps a stroke like a 1
            made.append(outlier.image)
    return np.stack(made)


class _Digits:
    """Digits to draw at random from."""

    def __init__(self, images: Image28, labels: Labels, rng: Rng) -> None:
        self._images, self._rng = images, rng
        self._rows = {digit: np.flatnonzero(labels == digit) for digit in np.unique(labels)}

    def one(self, *digits: int) -> Image28:
        """Returns an image of one of the digits, or of any if none is among the images."""
        known = [digit for digit in digits if digit in self._rows] or list(self._rows)
        rows = self._rows[known[self._rng.integers(len(known))]]
        return self._images[rows[self._rng.integers(len(rows))]]

    def trimmed(self, *digits: int) -> Image28:
        """Returns a digit cropped to its ink."""
        image = self.one(*digits)
        return image[pixels_of(bounding_box(image > 25))]


_NOT_ONE = (0, 2, 3, 4, 5, 6, 7, 8, 9)


def _ink(gray: npt.NDArray[np.uint8]) -> Ink:
    return gray.astype(np.float32) / np.float32(255)


def _drawn_strokes(
    rng: np.random.Generator, shape: Callable[[Rng], Strokes], options: dict[str, Any]
) -> Ink:
    """A shape drawn by hand."""
    return draw(shape(rng), rng, **options)


def _glyph(glyphs: npt.NDArray[np.uint8], rng: np.random.Generator) -> Ink:
    """A letter, sign or numeral of another script, in print."""
    return vary_glyph(as_gray(glyphs[rng.integers(len(glyphs))]), rng)


def _segment_letter(rng: np.random.Generator) -> Ink:
    """A letter of seven segments."""
    return draw_segments(SEGMENT_LETTERS[rng.integers(len(SEGMENT_LETTERS))], rng)


def _inverted_digit(digits: _Digits, rng: np.random.Generator) -> Ink:
    """The background of a tightly cropped digit as ink: all of it, or its largest piece.

    The digit is written or printed, and often narrow. The pieces beside a 1 are slender and would
    resemble one.
    """
    whole = rng.random() < 0.6
    digit = digits.trimmed(*_NOT_ONE) if rng.random() < 0.5 else _printed_digit(rng)
    if rng.random() < 0.5:
        width = max(4, round(digit.shape[1] * rng.uniform(0.5, 1)))
        digit = np.asarray(Image.fromarray(digit).resize((width, len(digit))))
    inverted = 255 - digit
    margin = int(rng.integers(0, 4)) if whole else 0
    ink = _ink(np.pad(inverted, margin, constant_values=255))
    if whole:
        return ink
    mask = ink > 0.5
    components = find_components(mask, ink)
    if not len(components.mass):
        return ink
    box = Box(*components.boxes[0].tolist())
    height, width = box.bottom - box.top, box.right - box.left
    if min(height, width) < 0.6 * max(height, width) or max(height, width) < 8:
        return ink
    row, column = np.argwhere(mask[pixels_of(box)])[0]
    piece = components.labels == components.labels[box.top + row, box.left + column]
    return np.where(piece, ink, 0).astype(np.float32)


def _printed_digit(rng: Rng) -> Image28:
    """A digit of a font other than 1, cropped to its ink."""
    faces = digit_faces(TRAIN)
    cell = faces[rng.integers(len(faces))].cells[rng.choice(_NOT_ONE)]
    return cell[pixels_of(bounding_box(cell > 25))]


_PARTS = ((0, "top"), (0, "bottom"), (2, "bottom"), (8, "left"))
"""Parts of digits that resemble no digit."""


def _part_of_digit(digits: _Digits, rng: np.random.Generator) -> Ink:
    """About half of a digit."""
    digit, side = _PARTS[rng.integers(len(_PARTS))]
    trimmed = digits.trimmed(digit)
    height, width = trimmed.shape
    cut = rng.uniform(0.4, 0.5)
    down, across = round(height * cut), round(width * cut)
    parts = {
        "top": trimmed[:down],
        "bottom": trimmed[height - down :],
        "left": trimmed[:, :across],
    }
    return _ink(np.pad(parts[side], 3))


def _digit_beside_part(digits: _Digits, rng: np.random.Generator) -> Ink:
    """A digit with a large part of another attached."""
    one, other = (digits.trimmed(*range(10)) for _ in range(2))
    part = max(3, round(other.shape[1] * rng.uniform(0.4, 0.7)))
    height = max(len(one), len(other))

    def level(digit: Image28) -> Image28:
        above = (height - len(digit)) // 2
        return np.pad(digit, ((above, height - len(digit) - above), (0, 0)))

    if rng.random() < 0.5:
        row = [level(one), level(other[:, :part])]
    else:
        row = [level(other[:, -part:]), level(one)]
    return _ink(np.pad(np.concatenate(row, axis=1), 3))


def _digit_at_edge(digits: _Digits, rng: np.random.Generator) -> Ink:
    """A digit with a frame, or with a line or page edge beside it that is longer than the digit.

    Not a 1 or 7, which with a line are letters or a 1 with a foot.
    """
    digit = digits.trimmed(0, 2, 3, 4, 5, 6, 8, 9)
    height, width = digit.shape
    pen = int(rng.integers(1, 6))
    kind = rng.integers(4)
    reach = int(rng.integers(4, 12))
    gap = int(rng.integers(-1, 3))
    if kind == 0:  # a frame
        space = int(rng.integers(1, 5))
        return _ink(np.pad(np.pad(digit, space), pen, constant_values=255))
    canvas = np.zeros((height + 2 * reach, width + 2 * reach), np.uint8)
    canvas[reach : reach + height, reach : reach + width] = digit
    ink = int(rng.integers(180, 256))
    if kind in (1, 3):
        left = reach - gap - pen if rng.random() < 0.5 else reach + width + gap
        canvas[:, max(left, 0) : max(left, 0) + pen] = ink
    if kind in (2, 3):
        top = reach - gap - pen if rng.random() < 0.5 else reach + height + gap
        canvas[max(top, 0) : max(top, 0) + pen] = ink
    return _ink(np.pad(canvas, 2))


def _letter(rng: np.random.Generator) -> Ink:
    """A letter or sign, slightly rotated."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    letter = str(rng.choice(list(_LETTERS)))
    font = ImageFont.load_default(int(rng.integers(40, 64)))
    bold, middle = int(rng.integers(0, 3)), (_CANVAS / 2, _CANVAS / 2)
    ImageDraw.Draw(canvas).text(middle, letter, 255, font, "mm", stroke_width=bold)
    return _ink(np.asarray(canvas.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)))


def _turned_digit(digits: _Digits, rng: np.random.Generator) -> Ink:
    """A digit on its side, or mirrored if its mirror image is no digit."""
    mirror = rng.random() < 0.4
    digit = digits.one(*((3, 4, 7, 9) if mirror else (1, 2, 3, 4, 5, 7)))
    return _ink(np.flip(digit, axis=1) if mirror else np.rot90(digit, rng.choice((1, 3))))


def _spliced_digits(digits: _Digits) -> Ink:
    """The upper half of one digit above that of another; not of ones, which would make a one."""
    one, other = digits.one(*_NOT_ONE), digits.one(*_NOT_ONE)
    half = SIDE // 2
    return _ink(np.concatenate([one[:half], other[:half]]))


def _crowded_digits(digits: _Digits, rng: np.random.Generator) -> Ink:
    """Two or three digits in a row, close enough to form one component."""
    row = [digits.one(*range(10)) for _ in range(rng.integers(2, 4))]
    trimmed = [digit[:, digit.any(axis=0)] for digit in row]
    return _ink(np.pad(np.concatenate(trimmed, axis=1), 6))


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


def _outline(rng: np.random.Generator) -> Ink:
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
    return _ink(np.asarray(canvas))


def _blobs(rng: np.random.Generator) -> Image28:
    """Smooth patches of light and dark, as in any photo."""
    size = int(rng.integers(4, 12))
    coarse = Image.fromarray(rng.normal(size=(size, size)).astype(np.float32))
    smooth = np.asarray(coarse.resize((_CANVAS, _CANVAS), Image.Resampling.BICUBIC))
    lowest, highest = np.percentile(smooth, (rng.uniform(20, 80), 100))
    return np.rint(255 * ((smooth - lowest) / (highest - lowest)).clip(0, 1)).astype(np.uint8)
