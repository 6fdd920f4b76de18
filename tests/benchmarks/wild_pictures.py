"""Pictures such as people hand to ``predict``, made from MNIST digits with random parameters.

A digit is first traced: from its 28x28 pixels, enlarged smoothly, the distance of every point to
its outline and to its midline. From these it can be drawn at any size, with any pen, and with sharp
edges, as a pen leaves them. ``CONDITIONS`` puts such digits on paper, boards and screens and under a
phone's camera; ``NON_DIGITS`` and ``BLANKS`` are what has no digit on it; ``MNIST_VARIANTS`` are
MNIST's own pixels, little changed. All of them are functions of a random generator, and return a
file's content, because encoding is a part of what goes wrong.
"""

import functools
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Digit = npt.NDArray[np.uint8]
"""(28, 28), ink light on black."""
Field = npt.NDArray[np.float32]
"""(height, width): a distance, a share of ink in 0..1, or a factor of light."""
Paper = npt.NDArray[np.float32]
"""(height, width, 3), 0..255."""
Colour = tuple[float, float, float]
Size = tuple[int, int]
"""Width and height in pixels."""
Rng = np.random.Generator

Condition = Callable[[Digit, Rng], bytes]
Scene = Callable[[Rng, Sequence[Digit]], bytes]

CONDITIONS: dict[str, Condition] = {}
MNIST_VARIANTS: dict[str, Condition] = {}
NON_DIGITS: dict[str, Scene] = {}
BLANKS: dict[str, Scene] = {}

_SCALE = 8
"""Points of a tracing per pixel of MNIST."""
_REACH = 6 * _SCALE
"""Points up to which distances are measured; no pen is thicker."""


_Function = TypeVar("_Function", bound=Callable[..., bytes])


def _listed(names: dict[str, _Function]) -> Callable[[_Function], _Function]:
    def add(function: _Function) -> _Function:
        names[getattr(function, "__name__").replace("_", "-")] = function  # noqa: B009
        return function

    return add


def generator(name: str, seed: int, index: int) -> Rng:
    """Returns the generator of one picture; no other picture's presence changes it."""
    return np.random.default_rng([seed, index, *name.encode()])


# Tracing a digit, and drawing it again


@dataclass(frozen=True, eq=False)
class Trace:
    """A digit as distances, in points; all else is measured in the same points.

    Attributes:
        outline: Distance to the outline, positive in the ink.
        midline: Distance to the strokes' midline, at most 0.
        middle: Column and row of the middle of the digit's box.
        longest: Longer side of the box.
        half: Half of the strokes' usual width.
        path: Columns and rows of the midline's points, (count, 2).
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
    smooth = np.asarray(large.filter(ImageFilter.GaussianBlur(_SCALE * 0.45)))
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
    """Euclidean distance to the nearest point of a mask, by rows, then by columns."""
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
            rises = sum((~a & b).astype(np.int8) for a, b in zip(around, around[1:] + around[:1]))
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
    """Where a digit lies: longer side in pixels, middle in pixels, degrees counterclockwise."""

    length: float
    middle: tuple[float, float]
    angle: float


def written(traced: Trace, thickness: float) -> Field:
    """The digit as it was written, its strokes so many times as thick; hairlines stay."""
    grown = traced.outline + (thickness - 1) * traced.half
    hairline = 0.35 * min(thickness, 1) * traced.half
    return np.maximum(grown, traced.midline + hairline)


def penned(traced: Trace, share: float) -> Field:
    """The digit in a pen as wide as a share of its longer side."""
    return traced.midline + share * traced.longest / 2


def drawn(traced: Trace, field: Field, size: Size, place: Place) -> Field:
    """Draws a field's positive part, with anti-aliased edges.

    Returns:
        Share of ink, 0..1.
    """
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


# Choosing sizes, places and colours


def between(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def some_size(rng: Rng, low: int = 60, high: int = 1600) -> Size:
    """Picks a width and a height: small ones as often as large ones, half of them square."""
    longer = round(math.exp(between(rng, math.log(low), math.log(high))))
    shorter = longer if rng.random() < 0.5 else round(longer * between(rng, 0.6, 1))
    return (longer, shorter) if rng.random() < 0.5 else (shorter, longer)


def some_place(
    rng: Rng, size: Size, share: tuple[float, float] = (0.4, 0.75), angle: float = 4
) -> Place:
    """Picks a place roughly in the middle, wholly inside."""
    length = min(size) * between(rng, *share)
    middle = [
        extent / 2 + between(rng, -0.4, 0.4) * max(0.0, extent - 1.2 * length) for extent in size
    ]
    return Place(length, (middle[0], middle[1]), between(rng, -angle, angle))


def fine(share: float, place: Place) -> float:
    """A pen's share, but no finer than a pixel and a half: finer lines fade away."""
    return max(share, 1.5 / place.length)


def dark_ink(rng: Rng) -> Colour:
    level = between(rng, 0, 60)
    return (level, level, level + between(rng, 0, 25))


def coloured_ink(rng: Rng) -> Colour:
    inks = [(25, 50, 190), (205, 30, 40), (20, 135, 60), (240, 200, 20), (240, 125, 20)]
    r, g, b = np.clip(np.array(inks[rng.integers(5)]) + rng.normal(0, 12, 3), 0, 255)
    return (float(r), float(g), float(b))


def white_paper(rng: Rng) -> Colour:
    level = between(rng, 225, 255)
    return (level, level, level)


def cream_paper(rng: Rng) -> Colour:
    papers = [(252, 244, 215), (248, 232, 180), (255, 240, 140), (238, 222, 190), (250, 240, 230)]
    r, g, b = papers[rng.integers(5)]
    shade = between(rng, 0.9, 1)
    return (r * shade, g * shade, b * shade)


# Paper, ink, light and cameras


def sheet(size: Size, colour: Colour) -> Paper:
    return np.full((size[1], size[0], 3), colour, dtype=np.float32)


def clouds(rng: Rng, size: Size, wave: float) -> Field:
    """Smooth noise of mean 0 and deviation about 1; ``wave`` is its length in pixels."""
    coarse = (max(2, math.ceil(size[0] / wave) + 1), max(2, math.ceil(size[1] / wave) + 1))
    noise = rng.standard_normal((coarse[1], coarse[0]), dtype=np.float32)
    return np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))


def grain(rng: Rng, paper: Paper, strength: float) -> Paper:
    """Lets the paper's fibres show; ``strength`` in grey levels."""
    size = (paper.shape[1], paper.shape[0])
    fibres = clouds(rng, size, between(rng, 1, 4)) + 0.5 * clouds(rng, size, 30)
    return paper + np.float32(strength) * fibres[..., None]


def inked(paper: Paper, share: Field, ink: Colour) -> Paper:
    """Lets ink swallow the light that the paper returns."""
    return paper * (1 - share[..., None] * (1 - np.asarray(ink, np.float32) / 255))


def covered(paper: Paper, share: Field, colour: Colour) -> Paper:
    """Covers paper with something opaque: paint, chalk."""
    return paper + share[..., None] * (np.asarray(colour, np.float32) - paper)


def coordinates(size: Size) -> tuple[Field, Field]:
    """Returns x (1, width) and y (height, 1), each in -1..1."""
    x = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    return x, y


def soft_shadow(rng: Rng, size: Size) -> Field:
    """Light that falls off to one side by 20 to 55 %, and towards the corners by up to 30 %."""
    x, y = coordinates(size)
    angle = between(rng, 0, 2 * math.pi)
    slope = (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2)
    side = 1 - between(rng, 0.2, 0.55) * (slope + 1) / 2
    return np.asarray(side * (1 - between(rng, 0, 0.3) * (x * x + y * y) / 2), np.float32)


def hard_shadow(rng: Rng, size: Size) -> Field:
    """The shadow of an arm or a phone: a slanted edge, beyond which 25 to 50 % of light is gone."""
    x, y = coordinates(size)
    angle = between(rng, 0, 2 * math.pi)
    depth = x * math.cos(angle) + y * math.sin(angle) - between(rng, -0.5, 0.5)
    beyond = 1 / (1 + np.exp(-np.clip(depth / between(rng, 0.01, 0.06), -30, 30)))
    return np.asarray(1 - between(rng, 0.25, 0.5) * beyond, np.float32)


def photographed(rng: Rng, scene: Paper, light: Field, *, noise: float, blur: float) -> bytes:
    """Takes a photo: light, tint, a lens's blur (pixels), a sensor's noise (grey levels), JPEG."""
    tint = np.asarray([between(rng, 0.9, 1), between(rng, 0.92, 1), between(rng, 0.8, 1)])
    exposed = scene * light[..., None] * tint.astype(np.float32) * between(rng, 0.8, 1)
    image = picture(exposed).filter(ImageFilter.GaussianBlur(blur))
    pixels = np.asarray(image, np.float32)
    pixels = pixels + noise * rng.standard_normal(pixels.shape, dtype=np.float32)
    return jpeg(picture(pixels), rng)


def picture(pixels: Paper) -> Image.Image:
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def jpeg(image: Image.Image, rng: Rng) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(40, 91)))
    return file.getvalue()


# Screens and paint programs


@_listed(CONDITIONS)
def paint(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    field = written(traced, between(rng, 0.6, 1.3))
    share = drawn(traced, field, size, some_place(rng, size))
    return png(picture(inked(sheet(size, (255, 255, 255)), share, (0, 0, 0))))


@_listed(CONDITIONS)
def white_on_black(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    field = written(traced, between(rng, 0.6, 1.3))
    share = drawn(traced, field, size, some_place(rng, size))
    level = between(rng, 0, 40)
    return png(picture(covered(sheet(size, (level, level, level)), share, (255, 255, 255))))


@_listed(CONDITIONS)
def thin_pen(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 100), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.02, 0.04), place)), size, place)
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def thick_marker(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    field = np.maximum(written(traced, 1), penned(traced, between(rng, 0.14, 0.19)))
    share = drawn(traced, field, size, some_place(rng, size))
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def coloured_pen(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    place = some_place(rng, size)
    colour = white_paper(rng) if rng.random() < 0.5 else cream_paper(rng)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.13), place)), size, place)
    return png(picture(inked(sheet(size, colour), share, coloured_ink(rng))))


@_listed(CONDITIONS)
def small_screenshot(digit: Digit, rng: Rng) -> bytes:
    side, traced = int(rng.integers(28, 65)), trace(digit)
    place = some_place(rng, (side, side), (0.5, 0.9))
    share = drawn(
        traced, penned(traced, fine(between(rng, 0.06, 0.13), place)), (side, side), place
    )
    if rng.random() < 0.5:
        return png(picture(covered(sheet((side, side), (20, 20, 20)), share, (240, 240, 240))))
    return png(picture(inked(sheet((side, side), (255, 255, 255)), share, dark_ink(rng))))


# Paper


@_listed(CONDITIONS)
def cream_sheet(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.11), place)), size, place)
    page = grain(rng, sheet(size, cream_paper(rng)), between(rng, 0, 3))
    return jpeg(picture(inked(page, share, dark_ink(rng))), rng)


@_listed(CONDITIONS)
def pencil(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 100), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.035, 0.07), place)), size, place)
    tooth = 0.8 + 0.25 * clouds(rng, size, between(rng, 1, 2.5))
    share = share * tooth.clip(0.25, 1) * between(rng, 0.75, 1)
    level = between(rng, 90, 140)
    page = grain(rng, sheet(size, white_paper(rng)), between(rng, 1, 4))
    return jpeg(picture(inked(page, share, (level, level, level))), rng)


def _lines(rng: Rng, size: Size, spacing: float, angle: float) -> Field:
    """Share of ink of parallel lines, so many pixels apart, turned by degrees."""
    x = np.arange(size[0], dtype=np.float32)[None, :]
    y = np.arange(size[1], dtype=np.float32)[:, None]
    across = x * math.sin(math.radians(angle)) + y * math.cos(math.radians(angle))
    beside = np.abs((across / spacing + rng.random()) % 1 - 0.5) * spacing
    return np.asarray((max(1.0, spacing * 0.03) - beside).clip(0, 1), np.float32)


def _line_ink(rng: Rng) -> Colour:
    inks = [(150, 185, 225), (175, 175, 180), (160, 205, 215), (205, 175, 200)]
    return inks[rng.integers(4)]


def _lined(digit: Digit, rng: Rng, *, squared: bool) -> bytes:
    size, traced = some_size(rng, 120), trace(digit)
    place = some_place(rng, size)
    skew = between(rng, -4, 4)
    spacing = place.length * (between(rng, 0.2, 0.6) if squared else between(rng, 0.5, 1.3))
    colour = _line_ink(rng)
    page = sheet(size, white_paper(rng))
    page = inked(page, _lines(rng, size, max(spacing, 8), skew), colour)
    if squared:
        page = inked(page, _lines(rng, size, max(spacing, 8), skew + 90), colour)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.1), place)), size, place)
    page = inked(grain(rng, page, 1.5), share, dark_ink(rng))
    light = 1 - 0.3 * (1 - soft_shadow(rng, size))
    return photographed(rng, page, light, noise=2, blur=0.4)


@_listed(CONDITIONS)
def ruled_paper(digit: Digit, rng: Rng) -> bytes:
    return _lined(digit, rng, squared=False)


@_listed(CONDITIONS)
def squared_paper(digit: Digit, rng: Rng) -> bytes:
    return _lined(digit, rng, squared=True)


@_listed(CONDITIONS)
def chalk(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 120), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), size, place)
    crumbs = 0.8 + 0.35 * clouds(rng, size, max(1.0, place.length * between(rng, 0.008, 0.02)))
    dust = 6 * clouds(rng, size, max(size) / 4) + 4 * clouds(rng, size, max(size) / 12)
    board = [(38, 78, 60), (45, 90, 75), (34, 36, 38), (48, 50, 52)][rng.integers(4)]
    page = grain(rng, sheet(size, board), 3) + dust.clip(0, None)[..., None]
    level = between(rng, 205, 245)
    page = covered(page, share * crumbs.clip(0.1, 1), (level, level, level))
    return photographed(rng, page, np.ones_like(share), noise=3, blur=0.5)


# Photos


def _pen_on_paper(digit: Digit, rng: Rng, size: Size, place: Place) -> Paper:
    traced = trace(digit)
    share = drawn(traced, penned(traced, fine(between(rng, 0.045, 0.11), place)), size, place)
    page = sheet(size, white_paper(rng) if rng.random() < 0.7 else cream_paper(rng))
    ink = dark_ink(rng) if rng.random() < 0.6 else (30.0, 50.0, 150.0)
    return inked(grain(rng, page, between(rng, 0.5, 3)), share, ink)


def _some_blur(rng: Rng, size: Size) -> float:
    return between(rng, 0.2, 1) * max(size) / 500


@_listed(CONDITIONS)
def photo_soft_shadow(digit: Digit, rng: Rng) -> bytes:
    size = some_size(rng, 150)
    page = _pen_on_paper(digit, rng, size, some_place(rng, size, (0.3, 0.7)))
    light = soft_shadow(rng, size)
    return photographed(rng, page, light, noise=between(rng, 1, 4), blur=_some_blur(rng, size))


@_listed(CONDITIONS)
def photo_hard_shadow(digit: Digit, rng: Rng) -> bytes:
    size = some_size(rng, 150)
    page = _pen_on_paper(digit, rng, size, some_place(rng, size, (0.3, 0.7)))
    light = hard_shadow(rng, size) * (1 - 0.4 * (1 - soft_shadow(rng, size)))
    return photographed(rng, page, light, noise=between(rng, 1, 4), blur=_some_blur(rng, size))


@_listed(CONDITIONS)
def photo_at_night(digit: Digit, rng: Rng) -> bytes:
    size = some_size(rng, 150)
    page = _pen_on_paper(digit, rng, size, some_place(rng, size, (0.3, 0.7)))
    light = between(rng, 0.35, 0.65) * soft_shadow(rng, size)
    return photographed(rng, page, light, noise=between(rng, 5, 11), blur=_some_blur(rng, size))


@_listed(CONDITIONS)
def tiny_in_photo(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 500), trace(digit)
    place = some_place(rng, size, (0.04, 0.1))
    length = max(place.length, 24)
    place = Place(length, place.middle, place.angle)
    share = drawn(traced, penned(traced, max(between(rng, 0.06, 0.12), 2.5 / length)), size, place)
    page = inked(grain(rng, sheet(size, white_paper(rng)), 1.5), share, dark_ink(rng))
    light = 1 - 0.6 * (1 - soft_shadow(rng, size))
    return photographed(rng, page, light, noise=between(rng, 1, 3), blur=0.5)


# Places


@_listed(CONDITIONS)
def off_centre(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    length = min(size) * between(rng, 0.25, 0.4)
    near = length * between(rng, 0.6, 0.75)
    x, y = (near if rng.random() < 0.5 else extent - near for extent in size)
    place = Place(length, (x, y), between(rng, -4, 4))
    share = drawn(traced, written(traced, between(rng, 0.6, 1.1)), size, place)
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def padded_crop(digit: Digit, rng: Rng) -> bytes:
    size = some_size(rng, 80, 1000)
    level = between(rng, 150, 215)
    place, traced = some_place(rng, size, (0.5, 0.75)), trace(digit)
    share = drawn(traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), size, place)
    crop = inked(grain(rng, sheet(size, (level, level, level)), 2), share, dark_ink(rng))
    side = round(max(size) * between(rng, 1.05, 1.6))
    image = Image.new("RGB", (side, side), (255, 255, 255))
    image.paste(picture(crop), ((side - size[0]) // 2, (side - size[1]) // 2))
    return png(image)


@_listed(CONDITIONS)
def touching_border(digit: Digit, rng: Rng) -> bytes:
    traced, side = trace(digit), some_size(rng)[0]
    length = side * between(rng, 0.6, 0.9)
    share = drawn(
        traced,
        penned(traced, fine(between(rng, 0.06, 0.12), Place(length, (0, 0), 0))),
        (2 * side, 2 * side),
        Place(length, (side, side), between(rng, -4, 4)),
    )
    rows, columns = np.flatnonzero(share.max(1) > 0.5), np.flatnonzero(share.max(0) > 0.5)
    top = rows[0] if rng.random() < 0.5 else rows[-1] + 1 - side
    left = round(columns.mean() - side / 2 + between(rng, -0.05, 0.05) * side)
    share = share[top : top + side, left : left + side]
    if rng.random() < 0.5 and columns[-1] - columns[0] > 0.5 * length:  # a wide one at the side
        share = np.roll(share, -int(np.flatnonzero(share.max(0) > 0.5)[0]), axis=1)
    return png(picture(inked(sheet((side, side), white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def tight_crop(digit: Digit, rng: Rng) -> bytes:
    traced, length = trace(digit), some_size(rng, 60, 1000)[0]
    side = round(1.3 * length)
    place = Place(length, (side / 2, side / 2), between(rng, -4, 4))
    share = drawn(
        traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), (side, side), place
    )
    rows, columns = np.flatnonzero(share.max(1) > 0.5), np.flatnonzero(share.max(0) > 0.5)
    # A bare 1 in its box would be a black bar, which nobody can read.
    beside = max(0, round(0.25 * length - (columns[-1] - columns[0]) / 2))
    left, right = max(0, columns[0] - beside), columns[-1] + 1 + beside
    share = share[rows[0] : rows[-1] + 1, left:right]
    size = (share.shape[1], share.shape[0])
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def rotated(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    place = some_place(rng, size, (0.4, 0.7), angle=12)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.12), place)), size, place)
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


# What else is on the picture


@_listed(CONDITIONS)
def dust_specks(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 120), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), size, place)
    image = picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng)))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(5, 40)):
        x, y = between(rng, 0, size[0]), between(rng, 0, size[1])
        radius = max(0.5, place.length * between(rng, 0.003, 0.012))
        level = int(rng.integers(30, 140))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (level, level, level))
    return jpeg(image, rng)


@_listed(CONDITIONS)
def neighbour_at_edge(digit: Digit, rng: Rng) -> bytes:
    """Another stroke, here the digit turned anyhow, cut by the picture's left or right edge."""
    size, traced = some_size(rng, 120), trace(digit)
    size = (max(size), min(size))
    length = size[1] * between(rng, 0.4, 0.55)
    place = Place(length, (size[0] / 2, size[1] / 2), between(rng, -4, 4))
    field = penned(traced, fine(between(rng, 0.05, 0.1), place))
    share = drawn(traced, field, size, place)
    columns = np.flatnonzero(share.max(0) > 0.5)
    rest = drawn(
        traced, field, (size[0], size[1]), Place(length, place.middle, between(rng, 0, 360))
    )
    found = np.flatnonzero(rest.max(0) > 0.5)
    seen = round(min(between(rng, 0.1, 0.35) * length, columns[0] - 0.12 * length))
    shifted = np.zeros_like(rest)
    if seen > 1:
        piece = rest[:, found[0] : found[0] + seen]
        shifted[:, size[0] - piece.shape[1] :] = piece
    if rng.random() < 0.5:
        shifted = shifted[:, ::-1]
    page = sheet(size, white_paper(rng))
    return png(picture(inked(page, np.maximum(share, shifted), dark_ink(rng))))


@_listed(CONDITIONS)
def frame(digit: Digit, rng: Rng) -> bytes:
    """A box drawn around the digit, of the same pen or a finer one, not quite straight."""
    size, traced = some_size(rng, 120), trace(digit)
    place = some_place(rng, size, (0.35, 0.5))
    middle = (size[0] / 2, size[1] / 2)
    place = Place(place.length, middle, place.angle)
    pen = fine(between(rng, 0.05, 0.1), place)
    share = drawn(traced, penned(traced, pen), size, place)
    width = max(1, round(pen * place.length * between(rng, 0.4, 1)))
    half = place.length * between(rng, 0.65, 0.8)
    corners = [
        (middle[0] + sx * half + between(rng, -0.03, 0.03) * half,
         middle[1] + sy * half + between(rng, -0.03, 0.03) * half)
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]  # fmt: skip
    box = Image.new("L", size)
    ImageDraw.Draw(box).line([*corners, corners[0], corners[1]], 255, width, "curve")
    share = np.maximum(share, np.asarray(box, np.float32) / 255)
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


# Pens that skip


def _along(traced: Trace, rng: Rng, spacing: float) -> npt.NDArray[np.int64]:
    """Picks points of the midline, no two of them closer than so many points."""
    left = traced.path
    picked = [left[rng.integers(len(left))]]
    while len(left := left[np.hypot(*(left - picked[-1]).T) >= spacing]):
        picked.append(left[np.argmin(np.hypot(*(left - picked[-1]).T))])
    return np.array(picked)


def _dots(traced: Trace, points: npt.NDArray[np.int64], radius: float) -> Field:
    mask = np.zeros(traced.midline.shape, dtype=bool)
    mask[points[:, 1], points[:, 0]] = True
    return np.float32(radius) - _distance(mask)


@_listed(CONDITIONS)
def dotted_pen(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 150), trace(digit)
    width = between(rng, 0.055, 0.085) * traced.longest
    points = _along(traced, rng, width * between(rng, 1.2, 1.55))
    share = drawn(traced, _dots(traced, points, width / 2), size, some_place(rng, size))
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def broken_strokes(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 100), trace(digit)
    place = some_place(rng, size)
    width = fine(between(rng, 0.05, 0.09), place)
    points = _along(traced, rng, traced.longest * between(rng, 0.25, 0.4))
    gaps = _dots(traced, points, traced.longest * (width / 2 + between(rng, 0.01, 0.03)))
    field = np.minimum(penned(traced, width), -gaps)
    share = drawn(traced, field, size, place)
    return png(picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


# Files


@_listed(CONDITIONS)
def transparent(digit: Digit, rng: Rng) -> bytes:
    """Ink alone, dark or light; what colour lies under the clear part differs between programs."""
    size, traced = some_size(rng), trace(digit)
    share = drawn(traced, written(traced, between(rng, 0.6, 1.2)), size, some_place(rng, size))
    ink = dark_ink(rng) if rng.random() < 0.5 else white_paper(rng)
    rest = ink if rng.random() < 0.5 else ((0.0,) * 3 if rng.random() < 0.5 else (255.0,) * 3)
    pixels = np.where((share > 0)[..., None], np.float32(ink), np.float32(rest))
    return png(picture(np.dstack([pixels, share * 255])))


@_listed(CONDITIONS)
def sixteen_bit(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    share = drawn(traced, written(traced, between(rng, 0.6, 1.2)), size, some_place(rng, size))
    levels = between(rng, 45_000, 65_535) * (1 - share * between(rng, 0.75, 1))
    return png(Image.fromarray(levels.astype(np.uint16)))


@_listed(CONDITIONS)
def palette(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    share = drawn(traced, written(traced, between(rng, 0.6, 1.2)), size, some_place(rng, size))
    image = picture(inked(sheet(size, cream_paper(rng)), share, coloured_ink(rng)))
    return png(image.quantize(int(rng.integers(2, 33))))


@_listed(CONDITIONS)
def cmyk_jpeg(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    share = drawn(traced, written(traced, between(rng, 0.6, 1.2)), size, some_place(rng, size))
    image = picture(inked(sheet(size, white_paper(rng)), share, dark_ink(rng)))
    return jpeg(image.convert("CMYK"), rng)


@_listed(CONDITIONS)
def exif_rotated(digit: Digit, rng: Rng) -> bytes:
    """Stored on its side, with the orientation that sets it upright."""
    size = some_size(rng, 150)
    page = _pen_on_paper(digit, rng, size, some_place(rng, size))
    undo = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    orientation = int(rng.choice(list(undo)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture(page).transpose(undo[orientation]).save(file, "JPEG", quality=80, exif=exif)
    return file.getvalue()


# MNIST's own pixels


@_listed(MNIST_VARIANTS)
def mnist_png(digit: Digit, rng: Rng) -> bytes:  # noqa: ARG001
    return png(Image.fromarray(digit))


@_listed(MNIST_VARIANTS)
def mnist_border(digit: Digit, rng: Rng) -> bytes:
    return png(ImageOps.expand(Image.fromarray(digit), int(rng.integers(4, 41))))


@_listed(MNIST_VARIANTS)
def mnist_inverted(digit: Digit, rng: Rng) -> bytes:  # noqa: ARG001
    return png(Image.fromarray(255 - digit))


@_listed(MNIST_VARIANTS)
def mnist_10x_nearest(digit: Digit, rng: Rng) -> bytes:  # noqa: ARG001
    return png(Image.fromarray(digit).resize((280, 280), Image.Resampling.NEAREST))


@_listed(MNIST_VARIANTS)
def mnist_10x_bicubic(digit: Digit, rng: Rng) -> bytes:  # noqa: ARG001
    return png(Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC))


# No digit


def _shown(rng: Rng, share: Field) -> bytes:
    """Shows ink in one of three ways: painted, in colour on paper, photographed."""
    size = (share.shape[1], share.shape[0])
    kind = rng.integers(3)
    if kind == 0:
        return png(picture(inked(sheet(size, (255, 255, 255)), share, (0, 0, 0))))
    if kind == 1:
        return png(picture(inked(sheet(size, cream_paper(rng)), share, coloured_ink(rng))))
    page = inked(grain(rng, sheet(size, white_paper(rng)), 1.5), share, dark_ink(rng))
    return photographed(rng, page, soft_shadow(rng, size), noise=2, blur=0.5)


def _mask(image: Image.Image) -> Field:
    return np.asarray(image, np.float32) / np.float32(255)


@_listed(NON_DIGITS)
def noise_uniform(rng: Rng, _: Sequence[Digit]) -> bytes:
    width, height = some_size(rng, 28, 800)
    return png(Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)))


@_listed(NON_DIGITS)
def noise_blobs(rng: Rng, _: Sequence[Digit]) -> bytes:
    size = some_size(rng, 28, 800)
    blobs = clouds(rng, size, max(size) * between(rng, 0.05, 0.2))
    return png(picture(np.repeat(128 + 60 * blobs[..., None], 3, 2)))


@_listed(NON_DIGITS)
def noise_salt_and_pepper(rng: Rng, _: Sequence[Digit]) -> bytes:
    width, height = some_size(rng, 28, 800)
    share = between(rng, 0.05, 0.4)
    black = rng.random((height, width)) < share
    return png(Image.fromarray(np.where(black, 0, 255).astype(np.uint8)))


LIKE_DIGITS = "BIOSZbgiloqsz"
"""Letters that in some hand or font are digits."""
UNLIKE_DIGITS = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwxy"


@functools.cache
def fonts() -> tuple[Path, ...]:
    """Finds the system's TrueType fonts; none where there are none, and Pillow's own is used."""
    found = sorted(Path("/usr/share/fonts").rglob("*.ttf"))
    return tuple(path for path in found if "Math" not in path.stem)


def _letter(rng: Rng, letters: str) -> bytes:
    size = some_size(rng, 60, 800)
    points = min(size) * between(rng, 0.5, 0.8)
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont = ImageFont.load_default(points)
    if fonts():
        font = ImageFont.truetype(fonts()[rng.integers(len(fonts()))], points)
    image = Image.new("L", size)
    ImageDraw.Draw(image).text(
        (size[0] / 2, size[1] / 2),
        letters[rng.integers(len(letters))],
        255,
        font,
        anchor="mm",
        stroke_width=int(points * between(rng, 0, 0.03)),
    )
    turned = image.rotate(between(rng, -10, 10), Image.Resampling.BICUBIC)
    return _shown(rng, _mask(turned))


@_listed(NON_DIGITS)
def letters_unlike_digits(rng: Rng, _: Sequence[Digit]) -> bytes:
    return _letter(rng, UNLIKE_DIGITS)


@_listed(NON_DIGITS)
def letters_like_digits(rng: Rng, _: Sequence[Digit]) -> bytes:
    return _letter(rng, LIKE_DIGITS)


class _Sketch:
    """A square to draw on, in coordinates of 0..1, four times as large as it will be."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.side = round(math.exp(between(rng, math.log(100), math.log(700))))
        self.image = Image.new("L", (4 * self.side, 4 * self.side))
        self.draw = ImageDraw.Draw(self.image)
        self.width = max(6, round(4 * self.side * between(rng, 0.02, 0.06)))

    def line(self, *points: tuple[float, float]) -> None:
        scaled = [(4 * self.side * x, 4 * self.side * y) for x, y in points]
        self.draw.line(scaled, 255, self.width, "curve")

    def ring(self, x: float, y: float, radius: float) -> None:
        turns = np.linspace(0, 2 * math.pi, 60)
        self.line(*((x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns))

    def finished(self) -> Field:
        turned = self.image.rotate(between(self.rng, -15, 15), Image.Resampling.BICUBIC)
        return _mask(turned.resize((self.side, self.side), Image.Resampling.BOX))


def _face(sketch: _Sketch) -> None:
    sketch.ring(0.5, 0.5, 0.33)
    sketch.ring(0.38, 0.42, 0.03)
    sketch.ring(0.62, 0.42, 0.03)
    turns = np.linspace(0.15 * math.pi, 0.85 * math.pi, 20)
    sketch.line(*((0.5 + 0.2 * math.cos(t), 0.5 + 0.2 * math.sin(t)) for t in turns))


def _star(sketch: _Sketch) -> None:
    corners = int(sketch.rng.integers(5, 8))
    turns = [2 * math.pi * i / (2 * corners) - math.pi / 2 for i in range(2 * corners + 2)]
    radii = [0.35, between(sketch.rng, 0.13, 0.2)] * (corners + 1)
    pairs = zip(turns, radii, strict=True)
    sketch.line(*((0.5 + r * math.cos(t), 0.5 + r * math.sin(t)) for t, r in pairs))


def _arrow(sketch: _Sketch) -> None:
    head = between(sketch.rng, 0.12, 0.2)
    sketch.line((0.15, 0.5), (0.85, 0.5))
    sketch.line((0.85 - head, 0.5 - head), (0.85, 0.5), (0.85 - head, 0.5 + head))


def _spiral(sketch: _Sketch) -> None:
    turns = np.linspace(0, 2 * math.pi * between(sketch.rng, 2.5, 4), 200)
    radii = 0.36 * turns / turns[-1]
    sketch.line(*zip(0.5 + radii * np.cos(turns), 0.5 + radii * np.sin(turns), strict=True))


def _house(sketch: _Sketch) -> None:
    sketch.line((0.2, 0.85), (0.2, 0.45), (0.5, 0.15), (0.8, 0.45), (0.8, 0.85), (0.2, 0.85))
    sketch.line((0.2, 0.45), (0.8, 0.45))
    sketch.line((0.42, 0.85), (0.42, 0.62), (0.58, 0.62), (0.58, 0.85))


def _heart(sketch: _Sketch) -> None:
    turns = np.linspace(0, 2 * math.pi, 80)
    x = 0.5 + 0.35 * np.sin(turns) ** 3
    y = 0.47 - 0.022 * (
        13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
    )
    sketch.line(*zip(x, y, strict=True))


def _scribble(sketch: _Sketch) -> None:
    turns = np.linspace(0, 2 * math.pi * between(sketch.rng, 2, 5), 300)
    waves = between(sketch.rng, 1.7, 4.3)
    x = 0.5 + 0.3 * np.cos(waves * turns) * np.cos(0.37 * turns)
    y = 0.5 + 0.33 * np.sin(turns * between(sketch.rng, 0.7, 1.6) + 1)
    sketch.line(*zip(x, y, strict=True))


def _flower(sketch: _Sketch) -> None:
    sketch.ring(0.5, 0.35, 0.07)
    for i in range(6):
        turn = math.pi * i / 3
        sketch.ring(0.5 + 0.15 * math.cos(turn), 0.35 + 0.15 * math.sin(turn), 0.075)
    sketch.line((0.5, 0.57), (0.5, 0.9))


def _drawing(motif: Callable[[_Sketch], None]) -> Scene:
    def scene(rng: Rng, _: Sequence[Digit]) -> bytes:
        sketch = _Sketch(rng)
        motif(sketch)
        return _shown(rng, sketch.finished())

    return scene


for _motif in (_face, _star, _arrow, _spiral, _house, _heart, _scribble, _flower):
    NON_DIGITS[f"drawing{_motif.__name__.replace('_', '-')}"] = _drawing(_motif)


@_listed(NON_DIGITS)
def photo_textures(rng: Rng, _: Sequence[Digit]) -> bytes:
    size = some_size(rng, 100, 800)
    pixels = sheet(size, (128, 120, 110))
    for octave in range(1, 6):
        layer = [clouds(rng, size, max(size) / 2**octave) for _ in range(3)]
        pixels = pixels + np.dstack(layer) * np.float32(45 / 1.6**octave)
    return jpeg(picture(pixels), rng)


@_listed(NON_DIGITS)
def photo_objects(rng: Rng, _: Sequence[Digit]) -> bytes:
    size = some_size(rng, 100, 800)
    image = picture(sheet(size, cream_paper(rng)) * soft_shadow(rng, size)[..., None])
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 9)):
        x, y = between(rng, 0, size[0]), between(rng, 0, size[1])
        w, h = (between(rng, 0.1, 0.4) * extent for extent in size)
        colour = tuple(int(c) for c in rng.integers(0, 220, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), colour)
    return jpeg(image.filter(ImageFilter.GaussianBlur(max(size) / 300)), rng)


@functools.cache
def _sample_photos() -> tuple[Image.Image, ...]:
    from sklearn.datasets import load_sample_images

    return tuple(map(Image.fromarray, load_sample_images().images))


@_listed(NON_DIGITS)
def photo_crops(rng: Rng, _: Sequence[Digit]) -> bytes:
    """Pieces of the two photos that come with scikit-learn, a temple and a flower."""
    photo = _sample_photos()[rng.integers(2)]
    width, height = (int(extent * between(rng, 0.25, 0.9)) for extent in photo.size)
    left, top = rng.integers(photo.width - width), rng.integers(photo.height - height)
    return jpeg(photo.crop((left, top, left + width, top + height)), rng)


def _strip(rng: Rng, digits: Sequence[Digit], low: int, high: int) -> bytes:
    count = int(rng.integers(low, high + 1))
    length = between(rng, 30, 200)
    gap = between(rng, 0.25, 0.5) * length
    thickness = between(rng, 0.5, 1.0)
    shares = []
    for _ in range(count):
        traced = trace(digits[rng.integers(len(digits))])
        side = round(1.2 * length)
        middle = (side / 2, side / 2 + between(rng, -0.05, 0.05) * length)
        place = Place(length * between(rng, 0.85, 1), middle, between(rng, -4, 4))
        share = drawn(traced, written(traced, thickness), (side, side), place)
        columns = np.flatnonzero(share.max(0) > 0.1)
        share = share[:, columns[0] : columns[-1] + 1]
        shares.append(np.pad(share, ((0, 0), (0, max(2, round(gap))))))
    margin = round(length * between(rng, 0.3, 1))
    return _shown(rng, np.pad(np.hstack(shares), margin))


@_listed(NON_DIGITS)
def two_digits(rng: Rng, digits: Sequence[Digit]) -> bytes:
    return _strip(rng, digits, 2, 2)


@_listed(NON_DIGITS)
def digits_3_to_8(rng: Rng, digits: Sequence[Digit]) -> bytes:
    return _strip(rng, digits, 3, 8)


# Nothing at all


@_listed(BLANKS)
def blank_white(rng: Rng, _: Sequence[Digit]) -> bytes:
    return png(picture(sheet(some_size(rng), white_paper(rng))))


@_listed(BLANKS)
def blank_grain(rng: Rng, _: Sequence[Digit]) -> bytes:
    page = sheet(some_size(rng), cream_paper(rng))
    return jpeg(picture(grain(rng, page, between(rng, 1, 3))), rng)


@_listed(BLANKS)
def blank_photo(rng: Rng, _: Sequence[Digit]) -> bytes:
    size = some_size(rng, 150)
    page = grain(rng, sheet(size, white_paper(rng)), 1.5)
    return photographed(rng, page, soft_shadow(rng, size), noise=between(rng, 1, 4), blur=0.5)
