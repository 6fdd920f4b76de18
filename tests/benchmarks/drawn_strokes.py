"""Digits in styles that MNIST lacks, and letters, signs and numerals, drawn stroke by stroke.

Strokes are points in a unit square, x to the right and y down. Each image deforms them, chooses a
pen and a medium. The names are part of the seeds.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from media import black_on_white, in_paint, in_photo, on_board, on_paper
from not_digits import NON_DIGITS, Digits, Scene
from PIL import Image, ImageDraw
from scenery import Rng, between, some_size
from traced_digits import Field, Size

Point = tuple[float, float]
Stroke = list[Point]
Style = Callable[[Rng, int], tuple[str, bytes]]
"""Called with a random generator and the number of the image; returns the label and the file."""

DRAWN_STYLES: dict[str, Style] = {}

_SPACING = 0.02
"""Distance of the points of a stroke that are moved, as a fraction of the height."""


def _arc(center: Point, radii: Point, start: float, end: float) -> Stroke:
    """Returns an elliptic arc; degrees, clockwise from the right."""
    turns = np.radians(np.linspace(start, end, 24))
    (x, y), (wide, tall) = center, radii
    return [(x + wide * math.cos(t), y + tall * math.sin(t)) for t in turns]


# Pens and media

_WOBBLE = 0.02
"""Amplitude of an unsteady hand, as a fraction of the height."""


def _dense(stroke: Stroke) -> npt.NDArray[np.float64]:
    parts = [
        np.linspace(a, b, max(2, math.ceil(math.dist(a, b) / _SPACING)))
        for a, b in itertools.pairwise(stroke)
    ]
    return np.concatenate(parts)


def _deformed(strokes: Sequence[Stroke], rng: Rng, angle: float) -> list[npt.NDArray[np.float64]]:
    """Moves points as an unsteady hand does, and slants, stretches and turns the whole."""
    waves = rng.normal(0, 0.6, (2, 2, 2))
    phases = rng.uniform(0, 2 * math.pi, (2, 2))
    slant, turn = between(rng, -0.1, 0.1), math.radians(between(rng, -angle, angle))
    width = between(rng, 0.8, 1.1)
    turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shape = turned @ np.array([[width, -slant], [0, 1]])
    moved = []
    for stroke in strokes:
        points = _dense(stroke) - 0.5
        shifts = [
            _WOBBLE * np.sin(2 * math.pi * points @ waves[axis].T + phases[axis]).sum(axis=1)
            for axis in (0, 1)
        ]
        moved.append((points + np.stack(shifts, axis=1)) @ shape.T)
    return moved


def ink_of(
    strokes: Sequence[Stroke],
    rng: Rng,
    size: Size,
    pen: tuple[float, float] = (0.03, 0.13),
    angle: float = 5,
) -> Field:
    """Draws strokes into an image; ``pen``: range of stroke widths as fractions of the height."""
    moved = _deformed(strokes, rng, angle)
    every = np.concatenate(moved)
    low, high = every.min(axis=0), every.max(axis=0)
    width = between(rng, *pen)
    length = min(size) * between(rng, 0.45, 0.8)
    scale = length / (max(high - low) + width)
    width = max(width * scale, 2.0)
    middle = [
        extent / 2 + between(rng, -0.4, 0.4) * max(0.0, extent - 1.25 * length) for extent in size
    ]
    times = 4 if max(size) < 200 else 2
    image = Image.new("L", (times * size[0], times * size[1]))
    draw = ImageDraw.Draw(image)
    radius = times * width / 2
    for points in moved:
        placed = times * ((points - (low + high) / 2) * scale + middle)
        draw.line(list(map(tuple, placed)), 255, max(1, round(2 * radius)))
        for x, y in placed:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)


def _size(rng: Rng) -> Size:
    side = int(rng.integers(28, 65))
    return (side, side) if rng.random() < 0.25 else some_size(rng, 60, 900)


def shown(rng: Rng, share: Field) -> bytes:
    """Shows ink in one of five ways: black, painted, on paper, in a photo, on a board."""
    kind = rng.integers(5)
    return black_on_white(share) if kind == 0 else _MEDIA[kind - 1](rng, share)


_MEDIA = (in_paint, on_paper, in_photo, on_board)


# Digits


def _style(name: str) -> Callable[[Style], Style]:
    def add(style: Style) -> Style:
        DRAWN_STYLES[name] = style
        return style

    return add


def _one(rng: Rng) -> Stroke:
    """Draws a 1 with an upstroke of 20 to 65 degrees to the stem, which is no top bar of a 7."""
    angle = math.radians(between(rng, 20, 65))
    length = min(between(rng, 0.2, 0.5), 0.34 / math.sin(angle))
    start = (0.5 - length * math.sin(angle), length * math.cos(angle))
    bend = between(rng, -0.02, 0.02)
    middle = ((start[0] + 0.5) / 2 + bend, start[1] / 2 + bend)
    return [start, middle, (0.5, 0), (0.5 + between(rng, -0.04, 0.04), 1)]


@_style("one-upstroke-plain")
def one_upstroke(rng: Rng, _: int) -> tuple[str, bytes]:
    return "1", shown(rng, ink_of([_one(rng)], rng, _size(rng), angle=3))


@_style("one-upstroke-foot")
def one_upstroke_foot(rng: Rng, _: int) -> tuple[str, bytes]:
    stem = _one(rng)
    x, y = stem[-1]
    left, right = between(rng, 0.12, 0.35), between(rng, 0.12, 0.35)
    foot = [(x - left, y + between(rng, -0.02, 0.02)), (x + right, y + between(rng, -0.02, 0.02))]
    return "1", shown(rng, ink_of([stem, foot], rng, _size(rng), angle=3))


@_style("one-foot")
def one_foot(rng: Rng, _: int) -> tuple[str, bytes]:
    foot = [(0.5 - between(rng, 0.15, 0.3), 1.0), (0.5 + between(rng, 0.15, 0.3), 1.0)]
    return "1", shown(rng, ink_of([[(0.5, 0), (0.5, 1)], foot], rng, _size(rng)))


@_style("four-closed")
def four_closed(rng: Rng, _: int) -> tuple[str, bytes]:
    stem, bar = between(rng, 0.55, 0.75), between(rng, 0.55, 0.75)
    apex = stem + between(rng, -0.06, 0.0)
    strokes: list[Stroke] = [
        [(stem, 1), (stem, 0)],
        [(apex, 0), (0.08, bar), (between(rng, 0.85, 1), bar)],
    ]
    return "4", shown(rng, ink_of(strokes, rng, _size(rng)))


@_style("six-angular")
def six_angular(rng: Rng, _: int) -> tuple[str, bytes]:
    waist, left = between(rng, 0.45, 0.62), between(rng, 0.1, 0.2)
    right = between(rng, 0.65, 0.8)
    stroke = [
        (between(rng, 0.4, 0.7), 0.0),
        (left, waist),
        (left + between(rng, -0.03, 0.05), 1.0),
        (right, between(rng, 0.94, 1.0)),
        (right + between(rng, -0.04, 0.04), waist + between(rng, -0.02, 0.06)),
        (left, waist + between(rng, 0.0, 0.05)),
    ]
    return "6", shown(rng, ink_of([stroke], rng, _size(rng)))


@_style("seven-crossed")
def seven_crossed(rng: Rng, _: int) -> tuple[str, bytes]:
    bottom, y = between(rng, 0.2, 0.5), between(rng, 0.42, 0.58)
    x = 0.85 + (bottom - 0.85) * y
    strokes = [
        [(0.1, between(rng, 0, 0.06)), (0.85, 0), (bottom, 1)],
        [(x - between(rng, 0.15, 0.28), y), (x + between(rng, 0.15, 0.28), y)],
    ]
    return "7", shown(rng, ink_of(strokes, rng, _size(rng)))


_SEGMENTS = (
    "abcdef",
    "bc",
    "abged",
    "abgcd",
    "fgbc",
    "afgcd",
    "afgedc",
    "abc",
    "abcdefg",
    "abcdfg",
)
"""Segments of each digit: a at the top, then clockwise to f, and g in the middle."""
_ENDS = {
    "a": (0, 0, 1, 0),
    "b": (1, 0, 1, 1),
    "c": (1, 1, 1, 2),
    "d": (0, 2, 1, 2),
    "e": (0, 1, 0, 2),
    "f": (0, 0, 0, 1),
    "g": (0, 1, 1, 1),
}


@_style("seven-segments")
def seven_segments(rng: Rng, index: int) -> tuple[str, bytes]:
    """A digit of a display, lit or of liquid crystal, with gaps between its segments."""
    digit = index % 10
    size = _size(rng)
    height = min(size) * between(rng, 0.45, 0.8)
    unit, slant = height / 2.2, between(rng, 0, 0.17)
    width, gap = between(rng, 0.12, 0.28) * unit, between(rng, 0.02, 0.06) * unit
    aspect = between(rng, 0.8, 1.05)
    times = 4
    image = Image.new("L", (times * size[0], times * size[1]))
    draw = ImageDraw.Draw(image)
    for name in _SEGMENTS[digit]:
        x0, y0, x1, y1 = (unit * end for end in _ENDS[name])
        if y0 == y1:
            x0, x1 = x0 + gap, x1 - gap
            corners = [(x0, y0), (x0 + width / 2, y0 - width / 2), (x1 - width / 2, y0 - width / 2)]
            corners += [
                (x1, y0),
                (x1 - width / 2, y0 + width / 2),
                (x0 + width / 2, y0 + width / 2),
            ]
        else:
            y0, y1 = y0 + gap, y1 - gap
            corners = [(x0, y0), (x0 + width / 2, y0 + width / 2), (x0 + width / 2, y1 - width / 2)]
            corners += [
                (x0, y1),
                (x0 - width / 2, y1 - width / 2),
                (x0 - width / 2, y0 + width / 2),
            ]
        left, top = size[0] / 2 - unit * aspect / 2, size[1] / 2 - unit
        placed = [
            (times * (left + x * aspect - slant * (y - unit)), times * (top + y))
            for x, y in corners
        ]
        draw.polygon(placed, 255)
    share = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)
    return str(digit), shown(rng, share)


# Letters, signs and numerals

LETTERS: dict[str, list[Stroke]] = {
    "A": [[(0.05, 1), (0.45, 0), (0.9, 1)], [(0.22, 0.62), (0.72, 0.62)]],
    "B": [
        [(0.1, 0), (0.1, 1)],
        [(0.1, 0), (0.4, 0), *_arc((0.4, 0.24), (0.3, 0.24), -90, 90), (0.1, 0.48)],
        [(0.1, 0.48), (0.4, 0.48), *_arc((0.42, 0.74), (0.36, 0.26), -90, 90), (0.1, 1)],
    ],
    "C": [_arc((0.5, 0.5), (0.42, 0.5), -45, -315)],
    "D": [
        [(0.1, 0), (0.1, 1)],
        [(0.1, 0), (0.25, 0), *_arc((0.25, 0.5), (0.52, 0.5), -90, 90), (0.1, 1)],
    ],
    "E": [[(0.75, 0), (0.1, 0), (0.1, 1), (0.75, 1)], [(0.1, 0.48), (0.6, 0.48)]],
    "F": [[(0.75, 0), (0.1, 0), (0.1, 1)], [(0.1, 0.45), (0.6, 0.45)]],
    "H": [[(0.1, 0), (0.1, 1)], [(0.8, 0), (0.8, 1)], [(0.1, 0.5), (0.8, 0.5)]],
    "K": [[(0.1, 0), (0.1, 1)], [(0.75, 0), (0.1, 0.55), (0.8, 1)]],
    "L": [[(0.15, 0), (0.15, 1), (0.75, 1)]],
    "M": [[(0.05, 1), (0.12, 0), (0.5, 0.65), (0.88, 0), (0.95, 1)]],
    "N": [[(0.1, 1), (0.1, 0), (0.8, 1), (0.8, 0)]],
    "P": [
        [(0.1, 0), (0.1, 1)],
        [(0.1, 0), (0.4, 0), *_arc((0.4, 0.26), (0.32, 0.26), -90, 90), (0.1, 0.52)],
    ],
    "R": [
        [(0.1, 0), (0.1, 1)],
        [(0.1, 0), (0.4, 0), *_arc((0.4, 0.25), (0.3, 0.25), -90, 90), (0.1, 0.5), (0.75, 1)],
    ],
    "T": [[(0.05, 0), (0.9, 0)], [(0.48, 0), (0.48, 1)]],
    "U": [[(0.1, 0), (0.1, 0.6), *_arc((0.45, 0.65), (0.35, 0.35), 180, 0), (0.8, 0)]],
    "V": [[(0.08, 0), (0.45, 1), (0.85, 0)]],
    "W": [[(0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)]],
    "X": [[(0.1, 0), (0.85, 1)], [(0.85, 0), (0.1, 1)]],
    "Y": [[(0.08, 0), (0.45, 0.5), (0.85, 0)], [(0.45, 0.5), (0.45, 1)]],
    "a": [_arc((0.42, 0.5), (0.38, 0.48), -20, -360), [(0.82, 0.02), (0.8, 0.8), (0.95, 0.98)]],
    "c": [_arc((0.5, 0.5), (0.45, 0.45), -40, -320)],
    "e": [[(0.1, 0.5), (0.88, 0.5), *_arc((0.5, 0.5), (0.4, 0.48), 0, -310)]],
    "h": [[(0.1, 0), (0.1, 1)],
          [(0.1, 0.65), *_arc((0.42, 0.65), (0.3, 0.22), -180, 0), (0.72, 1)]],
    "k": [[(0.1, 0), (0.1, 1)], [(0.6, 0.4), (0.1, 0.7), (0.65, 1)]],
    "m": [
        [(0.02, 0.1), (0.02, 0.9)],
        [(0.02, 0.5), *_arc((0.25, 0.4), (0.22, 0.28), -180, 0), (0.47, 0.9)],
        [(0.47, 0.5), *_arc((0.72, 0.4), (0.24, 0.28), -180, 0), (0.96, 0.9)],
    ],
    "n": [[(0.1, 0), (0.1, 1)],
          [(0.1, 0.45), *_arc((0.45, 0.4), (0.33, 0.36), -180, 0), (0.78, 1)]],
    "r": [[(0.2, 0), (0.2, 1)], [(0.2, 0.45), *_arc((0.5, 0.4), (0.28, 0.34), -180, -30)]],
    "u": [[(0.1, 0), (0.1, 0.6), *_arc((0.42, 0.65), (0.32, 0.33), 180, 0), (0.74, 0)],
          [(0.74, 0.4), (0.76, 1)]],
    "w": [[(0, 0.1), (0.25, 0.9), (0.5, 0.2), (0.75, 0.9), (1, 0.1)]],
    "x": [[(0.1, 0.1), (0.85, 0.9)], [(0.85, 0.1), (0.1, 0.9)]],
}  # fmt: skip
"""Letters that are not also a way to write a digit."""

_ARROWS: list[list[Stroke]] = [
    [[(0, 0.5), (1, 0.5)], [(0.7, 0.25), (1, 0.5), (0.7, 0.75)]],
    [[(0, 0.5), (1, 0.5)], [(0.8, 0.32), (1, 0.5), (0.8, 0.68)]],
    [[(0, 0.5), (1, 0.5)], [(0.75, 0.3), (1, 0.5), (0.75, 0.7)],
     [(0.25, 0.3), (0, 0.5), (0.25, 0.7)]],
    [_arc((0.4, 0.9), (0.5, 0.6), -170, -20), [(0.68, 0.62), (0.87, 0.7), (0.95, 0.42)]],
]  # fmt: skip
_CROSSES: list[list[Stroke]] = [
    [[(0, 0.5), (1, 0.5)], [(0.5, 0), (0.5, 1)]],
    [[(0.1, 0.1), (0.9, 0.9)], [(0.9, 0.1), (0.1, 0.9)]],
    [[(0.15, 0.35), (0.85, 0.35)], [(0.5, 0), (0.5, 1)]],
    [[(0, 0.5), (1, 0.5)], [(0.25, 0.07), (0.75, 0.93)], [(0.75, 0.07), (0.25, 0.93)]],
]
_SIGNS: list[list[Stroke]] = [
    [[(0, 0.6), (0.3, 1), (1, 0)]],  # check mark
    [[(0.5, 0), (1, 0.9), (0, 0.9), (0.5, 0)]],  # triangle
    [[(0.3, 0), (0.2, 1)], [(0.75, 0), (0.65, 1)], [(0, 0.3), (1, 0.3)], [(0, 0.7), (1, 0.7)]],
    [[(0, 0.3), (1, 0.3)], [(0, 0.7), (1, 0.7)]],  # equals
    [[(0.6, 0), (0.15, 0.55), (0.6, 0.5), (0.2, 1)]],  # lightning
    [[(x, 0.5 + 0.2 * math.sin(9 * x)) for x in np.linspace(0, 1, 30)]],  # wave
    [[(0, 0.9), (0.2, 0.1), (0.4, 0.9), (0.6, 0.1), (0.8, 0.9), (1, 0.1)]],  # zigzag
    [[(0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95), (0.05, 0.05)],
     [(0.05, 0.05), (0.95, 0.95)]],
]  # fmt: skip
_NUMERALS: list[list[Stroke]] = [
    # Chinese: 2 to 10 without 1, which is a dash
    [[(0.2, 0.2), (0.8, 0.18)], [(0, 0.85), (1, 0.83)]],
    [[(0.15, 0.08), (0.85, 0.08)], [(0.2, 0.5), (0.8, 0.48)], [(0, 0.92), (1, 0.92)]],
    [[(0.05, 0.1), (0.05, 0.9), (0.95, 0.9), (0.95, 0.1), (0.05, 0.1)],
     [(0.38, 0.1), (0.35, 0.4), (0.2, 0.6)], [(0.62, 0.1), (0.62, 0.55), (0.85, 0.55)]],
    [[(0.1, 0.05), (0.9, 0.05)], [(0.5, 0.05), (0.4, 0.95)],
     [(0.15, 0.45), (0.75, 0.45), (0.72, 0.95)], [(0, 0.95), (1, 0.95)]],
    [[(0.45, 0), (0.55, 0.15)], [(0, 0.35), (1, 0.33)], [(0.35, 0.5), (0.1, 0.95)],
     [(0.65, 0.5), (0.9, 0.95)]],
    [[(0, 0.5), (1, 0.35)], [(0.45, 0), (0.45, 0.8), (0.55, 0.95), (0.95, 0.92), (0.97, 0.75)]],
    [[(0.35, 0.15), (0.3, 0.5), (0, 0.95)], [(0.6, 0.1), (0.7, 0.5), (1, 0.95)]],
    [[(0.4, 0), (0.38, 0.5), (0, 1)], [(0.05, 0.35), (0.7, 0.3), (0.65, 0.85), (0.98, 0.95),
     (1, 0.75)]],
    [[(0, 0.45), (1, 0.42)], [(0.5, 0), (0.5, 1)]],
    # Roman: II, III, IV, VI, IX, with bars
    [[(0.3, 0), (0.3, 1)], [(0.65, 0), (0.65, 1)], [(0.1, 0), (0.85, 0)], [(0.1, 1), (0.85, 1)]],
    [[(0.2, 0), (0.2, 1)], [(0.5, 0), (0.5, 1)], [(0.8, 0), (0.8, 1)], [(0, 0), (1, 0)],
     [(0, 1), (1, 1)]],
    [[(0.15, 0), (0.15, 1)], [(0.35, 0), (0.65, 1), (0.95, 0)], [(0, 0), (1, 0)]],
    [[(0, 0), (0.3, 1), (0.6, 0)], [(0.85, 0), (0.85, 1)], [(0, 0), (1, 0)]],
    # Eastern Arabic: 2, 4, 7, 8
    [[(0.35, 1), (0.3, 0.4), (0.2, 0.05), (0.3, 0.2), (0.6, 0.25), (0.72, 0.02)]],
    [[(0.8, 0.05), (0.35, 0.2), (0.4, 0.42), (0.65, 0.48), (0.3, 0.6), (0.35, 0.9), (0.85, 0.95)]],
    [[(0.1, 0), (0.5, 1), (0.9, 0)]],
    [[(0.1, 1), (0.5, 0), (0.9, 1)]],
    # Devanagari: 4
    [[(0.15, 0), (0.8, 0.7), *_arc((0.5, 0.78), (0.3, 0.2), -15, 195), (0.85, 0)]],
]  # fmt: skip
"""Numerals of other scripts."""


def _slash(rng: Rng) -> list[Stroke]:
    """A slash or backslash that leans more than a 1 does, or two of them."""
    lean = math.tan(math.radians(between(rng, 42, 65))) * (1 if rng.random() < 0.5 else -1)
    count = 1 if rng.random() < 0.7 else 2
    return [[(0.45 * i + lean, 0), (0.45 * i, 1)] for i in range(count)]


def _one_of(
    shapes: Sequence[list[Stroke]], angle: float, pen: tuple[float, float] = (0.03, 0.11)
) -> Scene:
    def scene(rng: Rng, _: Digits) -> bytes:
        chosen = shapes[int(rng.integers(len(shapes)))]
        return shown(rng, ink_of(chosen, rng, _size(rng), pen, angle))

    return scene


def _hand_slashes(rng: Rng, _: Digits) -> bytes:
    return shown(rng, ink_of(_slash(rng), rng, _size(rng), angle=0))


NON_DIGITS["hand-letters"] = _one_of(list(LETTERS.values()), 8)
NON_DIGITS["hand-letters-bdc"] = _one_of([LETTERS[name] for name in "BDc"], 8)
NON_DIGITS["hand-arrows"] = _one_of(_ARROWS, 180)
NON_DIGITS["hand-slashes"] = _hand_slashes
NON_DIGITS["hand-crosses"] = _one_of(_CROSSES, 10)
NON_DIGITS["hand-signs"] = _one_of(_SIGNS, 10)
NON_DIGITS["hand-numerals"] = _one_of(_NUMERALS, 6)
