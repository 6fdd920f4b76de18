"""Images of non-digits or of several digits, for which ``predict`` should warn or fail.

Each function returns the content of a file, made from a random generator and MNIST's digits, which
most ignore. The names of the functions are part of the seeds.
"""

import functools
import math
import string
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from media import black_on_white, in_photo, on_paper
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scenery import (
    Rng,
    between,
    clouds,
    cream_paper,
    grain,
    jpeg,
    photographed,
    png,
    sheet,
    soft_shadow,
    some_size,
    to_image,
    white_paper,
)
from traced_digits import Field, Place, drawn, trace, written

Digits = npt.NDArray[np.uint8]
"""(count, 28, 28), ink light on black."""
Scene = Callable[[Rng, Digits], bytes]

NON_DIGITS: dict[str, Scene] = {}
BLANKS: dict[str, Scene] = {}


def _non_digit(function: Scene) -> Scene:
    NON_DIGITS[function.__name__.replace("_", "-")] = function
    return function


def _blank(function: Scene) -> Scene:
    BLANKS[function.__name__.replace("_", "-")] = function
    return function


def _shown(rng: Rng, share: Field) -> bytes:
    """Shows ink in one of three ways: black on white, on paper, photographed."""
    kind = rng.integers(3)
    return black_on_white(share) if kind == 0 else (on_paper, in_photo)[kind - 1](rng, share)


def _mask(image: Image.Image) -> Field:
    return np.asarray(image, np.float32) / np.float32(255)


@_non_digit
def noise_uniform(rng: Rng, _: Digits) -> bytes:
    width, height = some_size(rng, 28, 800)
    return png(Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)))


@_non_digit
def noise_blobs(rng: Rng, _: Digits) -> bytes:
    size = some_size(rng, 28, 800)
    blobs = clouds(rng, size, max(size) * between(rng, 0.05, 0.2))
    return png(to_image(np.repeat(128 + 60 * blobs[..., None], 3, 2)))


@_non_digit
def noise_salt_and_pepper(rng: Rng, _: Digits) -> bytes:
    width, height = some_size(rng, 28, 800)
    share = between(rng, 0.05, 0.4)
    black = rng.random((height, width)) < share
    return png(Image.fromarray(np.where(black, 0, 255).astype(np.uint8)))


LIKE_DIGITS = "BIOSZbgiloqsz"
"""Letters that look like digits in some handwriting or font."""


@functools.cache
def fonts() -> tuple[Path, ...]:
    """Returns the system's TrueType fonts; training uses Pillow's font for non-digits."""
    found = sorted(Path("/usr/share/fonts").rglob("*.ttf"))
    if not found:
        raise SystemExit("no TrueType fonts found: install some in /usr/share/fonts")
    return tuple(path for path in found if "Math" not in path.stem)


NUMERALS = "٢٣٤٧٨۴۶߂߃߄߆߇߈२३५८৪৫๒๓๔๕๘二三四五六七八九ⅡⅢⅣⅥⅨ"
"""Numerals of other scripts that do not look like digits."""


@functools.cache
def _numerals() -> tuple[tuple[Path, str], ...]:
    """Returns the system's fonts that have numerals of other scripts, with these."""
    found = []
    for path in fonts():
        font = ImageFont.truetype(path, 40)
        missing = bytes(font.getmask("\U0010ffff"))
        if shown := "".join(c for c in NUMERALS if bytes(font.getmask(c)) != missing):
            found.append((path, shown))
    if not found:
        raise SystemExit("no numerals of other scripts found: install fonts that have them")
    return tuple(found)


def _letter(rng: Rng, letters: str) -> bytes:
    return _typed(rng, [(path, letters) for path in fonts()])


def _typed(rng: Rng, choices: Sequence[tuple[Path, str]]) -> bytes:
    """Shows a character of one of the fonts, which come with their characters."""
    size = some_size(rng, 60, 800)
    points = min(size) * between(rng, 0.5, 0.8)
    path, characters = choices[int(rng.integers(len(choices)))]
    font = ImageFont.truetype(path, points)
    image = Image.new("L", size)
    ImageDraw.Draw(image).text(
        (size[0] / 2, size[1] / 2),
        characters[rng.integers(len(characters))],
        255,
        font,
        anchor="mm",
        stroke_width=int(points * between(rng, 0, 0.03)),
    )
    turned = image.rotate(between(rng, -10, 10), Image.Resampling.BICUBIC)
    return _shown(rng, _mask(turned))


@_non_digit
def letters(rng: Rng, _: Digits) -> bytes:
    return _letter(rng, string.ascii_letters)


@_non_digit
def letters_unlike_digits(rng: Rng, _: Digits) -> bytes:
    return _letter(rng, "".join(c for c in string.ascii_letters if c not in LIKE_DIGITS))


@_non_digit
def numerals_of_fonts(rng: Rng, _: Digits) -> bytes:
    return _typed(rng, _numerals())


class _Sketch:
    """A square canvas with coordinates in 0..1, drawn at twice its size."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.side = round(math.exp(between(rng, math.log(100), math.log(700))))
        self.image = Image.new("L", (2 * self.side, 2 * self.side))
        self.draw = ImageDraw.Draw(self.image)
        self.width = max(4, round(2 * self.side * between(rng, 0.02, 0.06)))

    def line(self, *points: tuple[float, float]) -> None:
        scaled = [(2 * self.side * x, 2 * self.side * y) for x, y in points]
        self.draw.line(scaled, 255, self.width, "curve")

    def ring(self, x: float, y: float, radius: float) -> None:
        turns = np.linspace(0, 2 * math.pi, 60)
        self.line(*((x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns))

    def finished(self, angle: float) -> Field:
        turned = self.image.rotate(between(self.rng, -angle, angle), Image.Resampling.BICUBIC)
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


def _drawing(motif: Callable[[_Sketch], None], angle: float) -> Scene:
    def scene(rng: Rng, _: Digits) -> bytes:
        sketch = _Sketch(rng)
        motif(sketch)
        return _shown(rng, sketch.finished(angle))

    return scene


for _motif in (_face, _house, _heart, _flower):
    NON_DIGITS[f"drawing{_motif.__name__.replace('_', '-')}"] = _drawing(_motif, 15)
for _motif in (_star, _arrow, _spiral, _scribble):  # at any angle
    NON_DIGITS[f"drawing{_motif.__name__.replace('_', '-')}"] = _drawing(_motif, 180)


@_non_digit
def photo_textures(rng: Rng, _: Digits) -> bytes:
    size = some_size(rng, 100, 800)
    pixels = sheet(size, (128, 120, 110))
    for octave in range(1, 6):
        layer = [clouds(rng, size, max(size) / 2**octave) for _ in range(3)]
        pixels = pixels + np.dstack(layer) * np.float32(45 / 1.6**octave)
    return jpeg(to_image(pixels), rng)


@_non_digit
def photo_objects(rng: Rng, _: Digits) -> bytes:
    size = some_size(rng, 100, 800)
    image = to_image(sheet(size, cream_paper(rng)) * soft_shadow(rng, size)[..., None])
    draw = ImageDraw.Draw(image)
    for _i in range(rng.integers(3, 9)):
        x, y = between(rng, 0, size[0]), between(rng, 0, size[1])
        w, h = (between(rng, 0.1, 0.4) * extent for extent in size)
        color = tuple(int(c) for c in rng.integers(0, 220, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), color)
    return jpeg(image.filter(ImageFilter.GaussianBlur(max(size) / 300)), rng)


@functools.cache
def _sample_photos() -> tuple[Image.Image, ...]:
    from sklearn.datasets import load_sample_images

    return tuple(map(Image.fromarray, load_sample_images().images))


@_non_digit
def photo_crops(rng: Rng, _: Digits) -> bytes:
    """Crops of scikit-learn's two sample photos, a temple and a flower."""
    photo = _sample_photos()[rng.integers(2)]
    width, height = (int(extent * between(rng, 0.25, 0.9)) for extent in photo.size)
    left, top = int(rng.integers(photo.width - width)), int(rng.integers(photo.height - height))
    return jpeg(photo.crop((left, top, left + width, top + height)), rng)


def _strip(rng: Rng, digits: Digits, low: int, high: int) -> bytes:
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


@_non_digit
def strip_of_2(rng: Rng, digits: Digits) -> bytes:
    return _strip(rng, digits, 2, 2)


@_non_digit
def strip_of_3_to_8(rng: Rng, digits: Digits) -> bytes:
    return _strip(rng, digits, 3, 8)


# Blank images


@_blank
def blank_white(rng: Rng, _: Digits) -> bytes:
    return png(to_image(sheet(some_size(rng), white_paper(rng))))


@_blank
def blank_grain(rng: Rng, _: Digits) -> bytes:
    page = sheet(some_size(rng), cream_paper(rng))
    return jpeg(to_image(grain(rng, page, between(rng, 1, 3))), rng)


@_blank
def blank_photo(rng: Rng, _: Digits) -> bytes:
    size = some_size(rng, 150)
    page = grain(rng, sheet(size, white_paper(rng)), 1.5)
    return photographed(rng, page, soft_shadow(rng, size), noise=between(rng, 1, 4), blur=0.5)
