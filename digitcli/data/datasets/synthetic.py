"""Synthetic digits to train on beside a data set's: strokes, seven segments and glyphs of fonts.

They are in styles that MNIST lacks, such as a 1 with an upstroke, a closed 4, and print. To add a
style, write a function that returns strokes and list it in ``STYLES``.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from digitcli.data.arrays import Image28, Ink
from digitcli.data.datasets.glyphs import TRAIN, as_gray, digit_faces
from digitcli.data.datasets.strokes import Rng, Strokes, arc, curve, draw, line
from digitcli.data.preprocessing.mnist_form import to_mnist_form

Labels = npt.NDArray[np.int64]

_PER_DIGIT = 1200  # synthetic images of each digit
_MORE = {1: 2, 4: 1.5}  # times as many of the digits that people write in the most ways
_GLYPHS, _STROKES = 0.5, 0.38  # fractions that are glyphs and strokes; the rest are segments
_NARROW = 0.35  # fraction of the strokes that are narrow, as on license plates
_LOOPED = (0, 6, 8, 9)  # digits whose loops a broad pen would fill


def make_synthetic(classes: tuple[str, ...], seed: int) -> tuple[Image28, Labels]:
    """Generates digits in MNIST form, equal ones for equal seeds.

    Args:
        classes: Names of the classes, the ten digits in any order.
        seed: Seed of all random choices.

    Returns:
        uint8 (13800, 28, 28), and labels, the indices of classes, int64 (13800,).
    """
    rng = np.random.default_rng(seed)
    faces = digit_faces(TRAIN)
    images, labels = [], []
    for digit in range(10):
        styles, share = STYLES[digit], 0.55 if digit == 1 else _STROKES  # a 1 varies the most
        glyphs = 0.4 if digit == 1 else _GLYPHS
        order = rng.permutation(len(faces))
        for i in range(round(_PER_DIGIT * _MORE.get(digit, 1))):
            kind = rng.random()
            if kind < glyphs:
                ink = vary_glyph(as_gray(faces[order[i % len(faces)]].cells[digit]), rng)
            elif kind < glyphs + share:
                style = styles[rng.integers(len(styles))]
                ink = _draw_digit(style(rng), digit, rng)
            else:
                ink = draw_segments(_SEGMENTS[digit][rng.integers(len(_SEGMENTS[digit]))], rng)
            images.append(to_mnist_form(ink))
            labels.append(classes.index(str(digit)))
    return np.stack(images), np.array(labels, dtype=np.int64)


def _draw_digit(strokes: Strokes, digit: int, rng: Rng) -> Ink:
    """Draws a digit, narrow or not."""
    if digit == 1:
        return draw(strokes, rng, aspect=(0.75, 1.1))
    narrow = rng.random() < _NARROW
    if digit in _LOOPED:
        return draw(strokes, rng, aspect=(0.45, 0.6) if narrow else (0.6, 1.1), pen=(0.05, 0.15))
    return draw(strokes, rng, aspect=(0.3, 0.55) if narrow else (0.55, 1.1))


def vary_glyph(gray: Ink, rng: Rng) -> Ink:
    """Changes a glyph as print and photos do: its weight, width, slant and sharpness."""
    image = Image.fromarray(np.rint(255 * gray).astype(np.uint8))
    side = 2 * image.width
    wide = round(side * rng.uniform(0.5, 1.2)) if rng.random() < 0.5 else side
    image = image.resize((wide, side), Image.Resampling.BICUBIC)
    if rng.random() < 0.35:
        turn, slant = np.radians(rng.uniform(-9, 9)), rng.uniform(0, 0.25)
        right, down = np.cos(turn), np.sin(turn)
        x, y = image.width / 2, image.height / 2
        rows = (right, slant - down), (down, right)
        corner = [middle - a * x - b * y for (a, b), middle in zip(rows, (x, y), strict=True)]
        values = (*rows[0], corner[0], *rows[1], corner[1])
        image = image.transform(
            image.size, Image.Transform.AFFINE, values, Image.Resampling.BILINEAR
        )
    weight = rng.random()
    if weight < 0.15:
        image = image.filter(ImageFilter.MaxFilter(3))
    elif weight < 0.25:
        thinner = image.filter(ImageFilter.MinFilter(3))
        image = thinner if np.asarray(thinner).max() > 200 else image
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 3)))
    return np.asarray(image).astype(np.float32) / np.float32(255)


# Strokes


def _pick(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def one_with_upstroke(rng: Rng) -> Strokes:
    """A stem, from its top a flag down to the left; every fourth with a foot."""
    angle = _pick(rng, 20, 70)
    longest = 0.75 if angle < 45 else 0.75 - 0.014 * (angle - 45)
    length = _pick(rng, 0.15, longest)
    x, y = length * np.sin(np.radians(angle)), length * np.cos(np.radians(angle))
    if rng.random() < 0.3:
        sag = _pick(rng, -0.04, 0.04)
        flag = curve((-x, y), (-x / 2 + sag, y / 2 + abs(sag)), (0, 0))
    else:
        flag = line((-x, y), (0, 0))
    strokes = [flag, line((0, 0), (_pick(rng, -0.06, 0.06), 1))]
    return strokes + (_foot(rng) if rng.random() < 0.25 else [])


def _foot(rng: Rng) -> Strokes:
    longest = 0.4 if rng.random() < 0.6 else 0.7
    left, right = _pick(rng, 0.15, longest), _pick(rng, 0.15, longest)
    return [line((-left, 1 + _pick(rng, -0.03, 0.03)), (right, 1 + _pick(rng, -0.03, 0.03)))]


def _one_with_foot(rng: Rng) -> Strokes:
    """A foot and an upstroke, or a foot alone."""
    stem = line((0, 0), (_pick(rng, -0.03, 0.03), 1))
    flag = [line((-_pick(rng, 0.1, 0.45), _pick(rng, 0.1, 0.4)), (0, 0))]
    return [stem, *_foot(rng), *(flag if rng.random() < 0.6 else [])]


def _one_with_hook(rng: Rng) -> Strokes:
    """A stem whose top bends to the left and a little downwards, as on license plates."""
    out, low = _pick(rng, 0.08, 0.25), _pick(rng, 0.0, 0.12)
    bend = curve((-out, low + 0.05), (-out / 2, _pick(rng, 0, 0.04)), (0, _pick(rng, 0, 0.06)))
    hook = bend if rng.random() < 0.6 else line((-out, low), (0, 0))
    return [hook, line((0, 0), (_pick(rng, -0.04, 0.04), 1))]


def _arched_one(rng: Rng) -> Strokes:
    """An upstroke nearly as long as the stem that turns into the stem without a corner."""
    out, low = _pick(rng, 0.25, 0.5), _pick(rng, 0.3, 0.65)
    right = _pick(rng, 0.02, 0.12)
    foot = (right + _pick(rng, -0.1, 0.05), 1.0)
    return [curve((-out, low), (-out / 3, 0.07), (0, 0), (right, 0.12), (right, 0.5), foot)]


def _bar(rng: Rng) -> Strokes:
    """A plain 1."""
    return [line((0, 0), (_pick(rng, -0.05, 0.05), 1))]


def _angular_six(rng: Rng) -> Strokes:
    left, waist = _pick(rng, 0, 0.2), _pick(rng, 0.45, 0.68)
    top = (_pick(rng, 0.45, 0.85), 0.0)
    right, low = _pick(rng, 0.75, 0.95), _pick(rng, 0.85, 1.0)
    if rng.random() < 0.5:  # a square loop
        corners = [(left, waist), (left, 1.0), (right, low), (right, waist), (left, waist + 0.05)]
    else:  # a pointed loop
        corners = [(left, waist + 0.2), (0.4, 1.0), (right, waist + 0.2), (left, waist + 0.05)]
    return [line(top, *corners)]


def _straight_six(rng: Rng) -> Strokes:
    """A straight stroke that ends in a round loop."""
    rx, ry = _pick(rng, 0.25, 0.36), _pick(rng, 0.2, 0.28)
    loop = arc((0.4, 1 - ry), (rx, ry), 190, 190 - 360)
    return [line((_pick(rng, 0.3, 0.85), 0), (float(loop[0, 0]), float(loop[0, 1]))), loop]


def _crossing_six(rng: Rng) -> Strokes:
    """A loop that ends beyond the stem, to the left."""
    rx, ry = _pick(rng, 0.25, 0.36), _pick(rng, 0.2, 0.28)
    center = (0.4, 1 - ry)
    top = (_pick(rng, 0.45, 0.9), _pick(rng, 0, 0.1))
    stem = curve(top, (0.4, 0.12), (0.4 - rx, 0.5), (0.4 - rx, 1 - ry))
    loop = arc(center, (rx, ry), 180, -75)
    end = (0.4 - rx - _pick(rng, 0.0, 0.2), 1 - 2 * ry + _pick(rng, 0.02, 0.12))
    return [np.vstack([stem, loop]), line((float(loop[-1, 0]), float(loop[-1, 1])), end)]


def _closed_four(rng: Rng) -> Strokes:
    """A triangle and a stem; the crossing stroke short or long."""
    stem, bar = _pick(rng, 0.55, 0.8), _pick(rng, 0.55, 0.75)
    out = _pick(rng, 0.85, 1.0) if rng.random() < 0.6 else _pick(rng, 1.0, 1.35)
    foot = stem + _pick(rng, -0.08, 0.05)
    return [line((stem, 0), (0, bar), (out, bar)), line((stem, 0), (foot, 1))]


def _round_four(rng: Rng) -> Strokes:
    """A closed 4 whose left corner is round, drawn in one stroke that ends beyond the stem."""
    stem, bar = _pick(rng, 0.55, 0.75), _pick(rng, 0.45, 0.62)
    out = stem + _pick(rng, 0.08, 0.3)
    left = (_pick(rng, 0.0, 0.1), bar - _pick(rng, 0.05, 0.12))
    loop = curve((stem, 0), (0.3, bar * 0.5), left, (0.2, bar), (stem, bar), (out, bar))
    return [loop, line((stem, 0), (stem + _pick(rng, -0.1, 0.05), 1))]


def _open_four(rng: Rng) -> Strokes:
    stem, bar = _pick(rng, 0.6, 0.85), _pick(rng, 0.45, 0.68)
    out = _pick(rng, 0.9, 1.3)
    left = line((_pick(rng, 0.05, 0.3), _pick(rng, 0, 0.1)), (0, bar), (out, bar))
    return [left, line((stem, _pick(rng, 0, 0.3)), (stem + _pick(rng, -0.1, 0.03), 1))]


def _short_stem_four(rng: Rng) -> Strokes:
    """A slanting stroke from the top, a level bar, and a stem that only crosses the bar."""
    stem, bar = _pick(rng, 0.55, 0.85), _pick(rng, 0.6, 0.78)
    out = stem + _pick(rng, 0.1, 0.3)
    slope = line((stem + _pick(rng, -0.2, 0.1), 0), (0, bar), (out, bar))
    return [slope, line((stem, bar - _pick(rng, 0.1, 0.3)), (stem + _pick(rng, -0.05, 0.05), 1))]


def _seven(rng: Rng) -> Strokes:
    """A level bar and a slanting stem; often a crossing stroke, a serif, or both."""
    width, rise = _pick(rng, 0.55, 0.85), _pick(rng, -0.06, 0.1)
    foot = width - _pick(rng, 0.2, 0.55)
    bend = _pick(rng, -0.1, 0.05)
    middle = ((width + foot) / 2 + bend, 0.5)
    strokes = [line((0, rise), (width, 0))]
    strokes.append(
        line((width, 0), (foot, 1)) if rng.random() < 0.5 else curve((width, 0), middle, (foot, 1))
    )
    extra = rng.random()
    if extra < 0.55:
        x, y = (width + foot) / 2, _pick(rng, 0.42, 0.58)
        half, tilt = _pick(rng, 0.15, 0.32), _pick(rng, -0.05, 0.05)
        strokes.append(line((x - half, y + tilt), (x + half, y - tilt)))
    if extra > 0.4:
        strokes.append(line((0, rise), (_pick(rng, -0.06, 0.06), rise + _pick(rng, 0.1, 0.25))))
    return strokes


def _straight_nine(rng: Rng) -> Strokes:
    rx, ry = _pick(rng, 0.25, 0.36), _pick(rng, 0.2, 0.28)
    right = 0.4 + rx
    foot = right + _pick(rng, -0.25, 0.05)
    return [arc((0.4, ry), (rx, ry), -10, -370), line((right, ry * 0.7), (foot, 1))]


def _angular_nine(rng: Rng) -> Strokes:
    right, waist = _pick(rng, 0.7, 0.9), _pick(rng, 0.35, 0.5)
    left = _pick(rng, 0, 0.15)
    loop = [(right, waist), (left, waist), (left, 0.0), (right, 0.0)]
    return [line(*loop, (right + _pick(rng, -0.2, 0.03), 1.0))]


def _hooked_nine(rng: Rng) -> Strokes:
    rx, ry = _pick(rng, 0.25, 0.36), _pick(rng, 0.2, 0.27)
    right = 0.4 + rx
    tail = curve(
        (right, ry), (right, 0.65), (right - 0.1, 0.92), (0.4, 1), (_pick(rng, 0, 0.2), 0.88)
    )
    return [arc((0.4, ry), (rx, ry), 0, -360), tail]


def _cut_nine(rng: Rng) -> Strokes:
    """A hooked 9 whose loop is cut off at the top, as where a crop is too tight."""
    rx, right = _pick(rng, 0.25, 0.36), 0.8
    left, waist = right - 2 * rx, _pick(rng, 0.38, 0.5)
    bowl = curve((left, 0), (left, waist - 0.15), (right - rx, waist), (right, waist - 0.12))
    tail = curve(
        (right, 0),
        (right, 0.65),
        (right - 0.08, 0.92),
        (right - rx, 1),
        (left, _pick(rng, 0.8, 0.92)),
    )
    return [bowl, tail]


def _looped_two(rng: Rng) -> Strokes:
    size = _pick(rng, 0.08, 0.16)
    return [
        curve(
            (0.1, _pick(rng, 0.15, 0.3)),
            (0.4, 0),
            (0.75, 0.2),
            (0.55, 0.6),
            (0.2, 0.95),
            (0.05, 0.95 - size / 2),
            (0.12, 0.95 - size),
            (0.35, 0.92),
            (0.6, 1),
            (0.95, _pick(rng, 0.85, 0.98)),
        )
    ]


def _angular_two(rng: Rng) -> Strokes:
    return [
        line(
            (0.05, _pick(rng, 0.18, 0.32)),
            (_pick(rng, 0.2, 0.35), 0),
            (_pick(rng, 0.6, 0.75), 0),
            (0.8, _pick(rng, 0.2, 0.38)),
            (0, 1),
            (_pick(rng, 0.75, 0.95), 1),
        )
    ]


def _flat_three(rng: Rng) -> Strokes:
    """A level top, a slanting stroke back to the middle, and a bowl or two corners."""
    waist = _pick(rng, 0.36, 0.46)
    top = [(0.05, 0.0), (0.75, 0.0), (_pick(rng, 0.3, 0.45), waist)]
    if rng.random() < 0.5:
        low = [(0.8, waist + 0.12), (0.8, 0.85), (0.5, 1.0), (0.0, _pick(rng, 0.88, 0.98))]
        return [line(*top, *low)]
    bowl = curve(top[-1], (0.75, waist + 0.15), (0.75, 0.85), (0.4, 1), (0, _pick(rng, 0.82, 0.95)))
    return [line(*top), bowl]


def _angular_three(rng: Rng) -> Strokes:
    right, waist = _pick(rng, 0.65, 0.85), _pick(rng, 0.42, 0.52)
    inner = _pick(rng, 0.2, 0.4)
    upper = [(0.0, 0.05), (right, 0.0), (right, waist), (inner, waist)]
    return [line(*upper, (right, waist), (right, 1.0), (0.0, 0.97))]


def _angular_five(rng: Rng) -> Strokes:
    waist, left = _pick(rng, 0.38, 0.5), _pick(rng, 0.05, 0.2)
    right = _pick(rng, 0.7, 0.9)
    low = [(right, waist), (right, 1.0), (0.0, _pick(rng, 0.92, 1.0))]
    if rng.random() < 0.5:
        low = [
            (right - 0.15, waist),
            (right, waist + 0.15),
            (right, 0.85),
            (0.45, 1.0),
            (0.0, 0.93),
        ]
    return [line((right, 0), (left, 0), (left - 0.05, waist), *low)]


def _two_stroke_five(rng: Rng) -> Strokes:
    waist, left = _pick(rng, 0.38, 0.48), _pick(rng, 0.1, 0.25)
    belly = curve(
        (left - 0.03, waist),
        (0.55, waist - 0.04),
        (0.8, 0.68),
        (0.5, 0.98),
        (0, _pick(rng, 0.85, 0.95)),
    )
    bar = line((left, 0), (_pick(rng, 0.7, 1.0), _pick(rng, -0.06, 0.02)))
    return [bar, line((left, 0), (left - 0.03, waist)), belly]


def _cut_five(rng: Rng) -> Strokes:
    """A 5 without its upper bar, as where a crop is too tight."""
    waist, left = _pick(rng, 0.3, 0.42), _pick(rng, 0.05, 0.15)
    right = _pick(rng, 0.75, 0.9)
    belly = curve(
        (left, waist + 0.04),
        (0.5, waist - 0.05),
        (right, 0.62),
        (0.5, 0.98),
        (0, _pick(rng, 0.8, 0.92)),
    )
    return [line((left, 0), (left, waist + 0.04)), belly]


def _slashed_zero(rng: Rng) -> Strokes:
    rx = _pick(rng, 0.28, 0.42)
    reach = _pick(rng, 0.55, 1.15)
    slash = line((0.5 - rx * reach, 0.5 + 0.4 * reach), (0.5 + rx * reach, 0.5 - 0.4 * reach))
    return [arc((0.5, 0.5), (rx, 0.5), -90, -450), slash]


def _zero(rng: Rng) -> Strokes:
    start = _pick(rng, -120, -50)
    overlap = _pick(rng, 350, 385)
    return [arc((0.5, 0.5), (_pick(rng, 0.22, 0.48), 0.5), start, start - overlap)]


def _square_zero(rng: Rng) -> Strokes:
    right = _pick(rng, 0.5, 0.8)
    cut = _pick(rng, 0, 0.15)
    corners = [(cut, 0.0), (right - cut, 0.0), (right, cut), (right, 1 - cut), (right - cut, 1.0)]
    return [line(*corners, (cut, 1.0), (0.0, 1 - cut), (0.0, cut), (cut, 0.0))]


def _cut_zero(rng: Rng) -> Strokes:
    """A 0 that is cut off at the top or at the bottom, as where a crop is too tight."""
    half = _pick(rng, 15, 35)
    start = -90 if rng.random() < 0.5 else 90
    return [arc((0.5, 0.5), (_pick(rng, 0.25, 0.4), 0.5), start + half, start + 360 - half)]


def _cut_eight(rng: Rng) -> Strokes:
    """Two circles, the upper one cut off at the top, as where a crop is too tight."""
    upper, half = _pick(rng, 0.2, 0.26), _pick(rng, 20, 50)
    lower = 0.5 - upper
    return [
        arc((0.4, upper), (_pick(rng, 0.2, 0.32), upper), half - 90, 270 - half),
        arc((0.4, 1 - lower), (_pick(rng, 0.26, 0.38), lower), -90, 270),
    ]


def _two_circle_eight(rng: Rng) -> Strokes:
    upper = _pick(rng, 0.2, 0.26)
    lower = 0.5 - upper
    return [
        arc((0.4, upper), (_pick(rng, 0.2, 0.32), upper), 90, 450),
        arc((0.4, 1 - lower), (_pick(rng, 0.26, 0.38), lower), -90, 270),
    ]


def _crossed_eight(rng: Rng) -> Strokes:
    """One line that crosses itself and may end beside its beginning, its corners round or not."""
    right = _pick(rng, 0.55, 0.8)
    points = [(right, 0.12), (0.35, 0.0), (0.05, 0.15), (right, 0.8), (0.4, 1.0), (0.02, 0.82)]
    points += [(right + _pick(rng, -0.15, 0.15), 0.12 + _pick(rng, -0.15, 0.1))]
    return [curve(*points)] if rng.random() < 0.6 else [line(*points)]


STYLES: tuple[tuple[Callable[[Rng], Strokes], ...], ...] = (
    (_slashed_zero, _zero, _zero, _square_zero, _square_zero, _cut_zero),
    (*(one_with_upstroke,) * 4, _arched_one, _one_with_hook, _one_with_foot, _bar),
    (_looped_two, _angular_two),
    (_flat_three, _angular_three),
    (*(_closed_four, _round_four, _short_stem_four) * 2, _open_four),
    (_angular_five, _angular_five, _two_stroke_five, _two_stroke_five, _cut_five),
    (_angular_six, _straight_six, _crossing_six),
    (_seven,),
    (_two_circle_eight, _two_circle_eight, _crossed_eight, _crossed_eight, _cut_eight),
    (_straight_nine, _angular_nine, _hooked_nine, _cut_nine),
)
"""Ways to draw each digit with strokes."""

# Seven segments

_SEGMENTS = (
    ("abcdef",),
    ("bc",),
    ("abged",),
    ("abgcd",),
    ("fgbc",),
    ("afgcd",),
    ("afgedc", "fgedc"),
    ("abc", "fabc"),
    ("abcdefg",),
    ("abcdfg", "abcfg"),
)
"""Lit segments of each digit, with and without tails; a is the top one, g the middle one."""

SEGMENT_LETTERS = ("abcefg", "adefg", "aefg", "bcefg", "abefg", "def", "eg", "deg", "ceg", "bcde")
"""Lit segments of A, E, F, H, P, L and others that show no digit."""


def draw_segments(lit: str, rng: Rng) -> Ink:
    """Draws a figure of lit segments, which are blunt or pointed, with gaps or without."""
    high, wide = 80.0, 80 * _pick(rng, 0.42, 0.7)
    thick = 80 * _pick(rng, 0.07, 0.2)
    gap = _pick(rng, 0, 0.25) * thick if rng.random() < 0.8 else -0.1 * thick
    point = thick / 2 if rng.random() < 0.6 else _pick(rng, 0, 0.3) * thick
    shear = _pick(rng, 0, 0.2) if rng.random() < 0.6 else _pick(rng, -0.05, 0.05)
    middle = high / 2
    ends = {
        "a": ((0, 0), (wide, 0)),
        "b": ((wide, 0), (wide, middle)),
        "c": ((wide, middle), (wide, high)),
        "d": ((0, high), (wide, high)),
        "e": ((0, middle), (0, high)),
        "f": ((0, 0), (0, middle)),
        "g": ((0, middle), (wide, middle)),
    }
    canvas = Image.new("L", (160, 128))
    drawing = ImageDraw.Draw(canvas)
    half = thick / 2
    for name in lit:
        start, end = np.array(ends[name], dtype=np.float64)
        along = (end - start) / np.hypot(*(end - start))
        across = half * along[::-1]
        start, end = start + along * gap, end - along * gap
        if point < half * 0.9:  # blunt ends, which leave the corners open
            start, end = start + along * half * 0.6, end - along * half * 0.6
        inner = along * point
        outline = [start, start + inner + across, end - inner + across]
        outline += [end, end - inner - across, start + inner - across]
        corners = [(40 + x - shear * (y - middle), 24 + y) for x, y in np.array(outline).tolist()]
        drawing.polygon(corners, fill=255)
    if rng.random() < 0.4:
        canvas = canvas.filter(ImageFilter.GaussianBlur(_pick(rng, 0.5, 4)))
    return np.asarray(canvas).astype(np.float32) / np.float32(255)
