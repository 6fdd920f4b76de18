"""Images such as people give to ``predict``, made from MNIST's digits with random parameters.

``CONDITIONS`` are digits on paper, boards and screens, photographed, in common formats;
``MNIST_VARIANTS`` are MNIST's pixels with small changes. Each returns the content of a file, made
from a digit and a random generator: encoding is one source of errors. The names of the functions
are part of the seeds.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from scenery import (
    Color,
    Paper,
    Rng,
    between,
    clouds,
    colored_ink,
    covered,
    cream_paper,
    dark_ink,
    fine,
    grain,
    hard_shadow,
    inked,
    jpeg,
    photographed,
    png,
    sheet,
    soft_shadow,
    some_place,
    some_size,
    to_image,
    white_paper,
)
from traced_digits import (
    Digit,
    Field,
    Place,
    Size,
    along,
    dotted,
    drawn,
    penned,
    trace,
    written,
)

Condition = Callable[[Digit, Rng], bytes]

CONDITIONS: dict[str, Condition] = {}
MNIST_VARIANTS: dict[str, Condition] = {}

CROP_LEVEL = 64
"""Gray level, 0 to 255, above which a pixel of MNIST is ink when an image is cropped to it."""


def _listed(names: dict[str, Condition]) -> Callable[[Condition], Condition]:
    def add(function: Condition) -> Condition:
        names[function.__name__.replace("_", "-")] = function
        return function

    return add


# Screens and paint programs


@_listed(CONDITIONS)
def paint(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    field = written(traced, between(rng, 0.6, 1.3))
    share = drawn(traced, field, size, some_place(rng, size))
    return png(to_image(inked(sheet(size, (255, 255, 255)), share, (0, 0, 0))))


@_listed(CONDITIONS)
def white_on_black(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    field = written(traced, between(rng, 0.6, 1.3))
    share = drawn(traced, field, size, some_place(rng, size))
    level = between(rng, 0, 40)
    return png(to_image(covered(sheet(size, (level, level, level)), share, (255, 255, 255))))


@_listed(CONDITIONS)
def thin_pen(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 100), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.02, 0.04), place)), size, place)
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def thick_marker(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    field = np.maximum(written(traced, 1), penned(traced, between(rng, 0.14, 0.19)))
    share = drawn(traced, field, size, some_place(rng, size))
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def colored_pen(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    place = some_place(rng, size)
    color = white_paper(rng) if rng.random() < 0.5 else cream_paper(rng)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.13), place)), size, place)
    return png(to_image(inked(sheet(size, color), share, colored_ink(rng))))


@_listed(CONDITIONS)
def small_screenshot(digit: Digit, rng: Rng) -> bytes:
    side, traced = int(rng.integers(28, 65)), trace(digit)
    place = some_place(rng, (side, side), (0.5, 0.9))
    share = drawn(
        traced, penned(traced, fine(between(rng, 0.06, 0.13), place)), (side, side), place
    )
    if rng.random() < 0.5:
        return png(to_image(covered(sheet((side, side), (20, 20, 20)), share, (240, 240, 240))))
    return png(to_image(inked(sheet((side, side), (255, 255, 255)), share, dark_ink(rng))))


# Paper


@_listed(CONDITIONS)
def cream_sheet(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.11), place)), size, place)
    page = grain(rng, sheet(size, cream_paper(rng)), between(rng, 0, 3))
    return jpeg(to_image(inked(page, share, dark_ink(rng))), rng)


@_listed(CONDITIONS)
def pencil(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 100), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.035, 0.07), place)), size, place)
    tooth = 0.8 + 0.25 * clouds(rng, size, between(rng, 1, 2.5))
    share = share * tooth.clip(0.25, 1) * between(rng, 0.75, 1)
    level = between(rng, 90, 140)
    page = grain(rng, sheet(size, white_paper(rng)), between(rng, 1, 4))
    return jpeg(to_image(inked(page, share, (level, level, level))), rng)


def _lines(rng: Rng, size: Size, spacing: float, width: float, angle: float) -> Field:
    """Returns the ink of parallel lines; spacing and width in pixels, angle in degrees."""
    x = np.arange(size[0], dtype=np.float32)[None, :]
    y = np.arange(size[1], dtype=np.float32)[:, None]
    across = x * math.sin(math.radians(angle)) + y * math.cos(math.radians(angle))
    beside = np.abs((across / spacing + rng.random()) % 1 - 0.5) * spacing
    return np.asarray((0.5 + width / 2 - beside).clip(0, 1), np.float32)


def _line_ink(rng: Rng) -> Color:
    inks = [(150, 185, 225), (175, 175, 180), (160, 205, 215), (205, 175, 200)]
    return inks[rng.integers(4)]


def _lined(digit: Digit, rng: Rng, *, squared: bool) -> bytes:
    size, traced = some_size(rng, 120), trace(digit)
    place = some_place(rng, size)
    skew = between(rng, -4, 4)
    spacing = place.length * (between(rng, 0.2, 0.6) if squared else between(rng, 0.5, 1.3))
    spacing, width = max(spacing, 8), max(1, place.length * between(rng, 0.01, 0.02))
    color = _line_ink(rng)
    page = sheet(size, white_paper(rng))
    page = inked(page, _lines(rng, size, spacing, width, skew), color)
    if squared:
        page = inked(page, _lines(rng, size, spacing, width, skew + 90), color)
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
    length = max(place.length, 32)
    place = Place(length, place.middle, place.angle)
    share = drawn(traced, penned(traced, max(between(rng, 0.06, 0.12), 2.5 / length)), size, place)
    page = inked(grain(rng, sheet(size, white_paper(rng)), 1.5), share, dark_ink(rng))
    light = 1 - 0.6 * (1 - soft_shadow(rng, size))
    return photographed(rng, page, light, noise=between(rng, 1, 3), blur=0.5)


# Positions


@_listed(CONDITIONS)
def off_centre(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    length = min(size) * between(rng, 0.25, 0.4)
    near = length * between(rng, 0.6, 0.75)
    x, y = (near if rng.random() < 0.5 else extent - near for extent in size)
    place = Place(length, (x, y), between(rng, -4, 4))
    share = drawn(traced, written(traced, between(rng, 0.6, 1.1)), size, place)
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def padded_crop(digit: Digit, rng: Rng) -> bytes:
    size = some_size(rng, 80, 1000)
    level = between(rng, 150, 215)
    place, traced = some_place(rng, size, (0.5, 0.75)), trace(digit)
    share = drawn(traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), size, place)
    crop = inked(grain(rng, sheet(size, (level, level, level)), 2), share, dark_ink(rng))
    side = round(max(size) * between(rng, 1.05, 1.6))
    image = Image.new("RGB", (side, side), (255, 255, 255))
    image.paste(to_image(crop), ((side - size[0]) // 2, (side - size[1]) // 2))
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
    if rng.random() < 0.5 and columns[-1] - columns[0] > 0.5 * length:  # wide: at a side, too
        left = columns[0] if rng.random() < 0.5 else columns[-1] + 1 - side
    share = share[top : top + side, left : left + side]
    return png(to_image(inked(sheet((side, side), white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def tight_crop(digit: Digit, rng: Rng) -> bytes:
    traced, length = trace(digit), some_size(rng, 60, 1000)[0]
    side = round(1.3 * length)
    place = Place(length, (side / 2, side / 2), between(rng, -4, 4))
    share = drawn(
        traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), (side, side), place
    )
    rows, columns = np.flatnonzero(share.max(1) > 0.5), np.flatnonzero(share.max(0) > 0.5)
    # A 1 cropped to its box would be a black bar, which is not readable.
    beside = max(0, round(0.25 * length - (columns[-1] - columns[0]) / 2))
    left, right = max(0, columns[0] - beside), columns[-1] + 1 + beside
    share = share[rows[0] : rows[-1] + 1, left:right]
    size = (share.shape[1], share.shape[0])
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def rotated(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    place = some_place(rng, size, (0.4, 0.7), angle=12)
    share = drawn(traced, penned(traced, fine(between(rng, 0.05, 0.12), place)), size, place)
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


# Other ink


@_listed(CONDITIONS)
def dust_specks(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 120), trace(digit)
    place = some_place(rng, size)
    share = drawn(traced, penned(traced, fine(between(rng, 0.06, 0.12), place)), size, place)
    image = to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng)))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(5, 40)):
        x, y = between(rng, 0, size[0]), between(rng, 0, size[1])
        radius = max(0.5, place.length * between(rng, 0.003, 0.012))
        level = int(rng.integers(30, 140))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (level, level, level))
    return jpeg(image, rng)


@_listed(CONDITIONS)
def neighbour_at_edge(digit: Digit, rng: Rng) -> bytes:
    """Another stroke, the digit at any angle, cut by the image's left or right border."""
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
    # At most half of the digit, or there would be two.
    widest = min(0.35 * length, 0.5 * len(found), columns[0] - 0.12 * length)
    seen = round(between(rng, 0.3, 1) * widest)
    shifted = np.zeros_like(rest)
    if seen > 1:
        piece = rest[:, found[0] : found[0] + seen]
        shifted[:, size[0] - piece.shape[1] :] = piece
    if rng.random() < 0.5:
        shifted = shifted[:, ::-1]
    page = sheet(size, white_paper(rng))
    return png(to_image(inked(page, np.maximum(share, shifted), dark_ink(rng))))


@_listed(CONDITIONS)
def frame(digit: Digit, rng: Rng) -> bytes:
    """A box around the digit with strokes of the same width or finer, not quite straight."""
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
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


# Broken strokes


@_listed(CONDITIONS)
def dotted_pen(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 150), trace(digit)
    width = between(rng, 0.055, 0.085) * traced.longest
    points = along(traced, rng, width * between(rng, 1.2, 1.55))
    share = drawn(traced, dotted(traced, points, width / 2), size, some_place(rng, size))
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


@_listed(CONDITIONS)
def broken_strokes(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng, 100), trace(digit)
    place = some_place(rng, size)
    width = fine(between(rng, 0.05, 0.09), place)
    points = along(traced, rng, traced.longest * between(rng, 0.25, 0.4))
    # The pen is lifted around each point; its round tip narrows the gap.
    lifted = traced.longest * (width / 2 + between(rng, 0.02, 0.04))
    away = np.hypot(*(traced.path[:, None] - points[None]).T).min(axis=0)
    field = dotted(traced, traced.path[away > lifted], width * traced.longest / 2)
    share = drawn(traced, field, size, place)
    return png(to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng))))


# Files


@_listed(CONDITIONS)
def transparent(digit: Digit, rng: Rng) -> bytes:
    """Ink on a transparent background, whose hidden color differs between programs."""
    size, traced = some_size(rng), trace(digit)
    share = drawn(traced, written(traced, between(rng, 0.6, 1.2)), size, some_place(rng, size))
    ink = dark_ink(rng) if rng.random() < 0.5 else white_paper(rng)
    rest = ink if rng.random() < 0.5 else ((0.0,) * 3 if rng.random() < 0.5 else (255.0,) * 3)
    pixels = np.where((share > 0)[..., None], np.array(ink), np.array(rest))
    return png(to_image(np.dstack([pixels, share * 255])))


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
    image = to_image(inked(sheet(size, cream_paper(rng)), share, colored_ink(rng)))
    return png(image.quantize(int(rng.integers(2, 33))))


@_listed(CONDITIONS)
def cmyk_jpeg(digit: Digit, rng: Rng) -> bytes:
    size, traced = some_size(rng), trace(digit)
    share = drawn(traced, written(traced, between(rng, 0.6, 1.2)), size, some_place(rng, size))
    image = to_image(inked(sheet(size, white_paper(rng)), share, dark_ink(rng)))
    return jpeg(image.convert("CMYK"), rng)


@_listed(CONDITIONS)
def exif_rotated(digit: Digit, rng: Rng) -> bytes:
    """Stored sideways, with an EXIF orientation that turns it upright."""
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
    to_image(page).transpose(undo[orientation]).save(file, "JPEG", quality=80, exif=exif)
    return file.getvalue()


# MNIST's pixels


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


@_listed(MNIST_VARIANTS)
def mnist_cropped(digit: Digit, rng: Rng) -> bytes:
    return png(_enlarged_and_cropped(digit, rng))


@_listed(MNIST_VARIANTS)
def mnist_cropped_inverted(digit: Digit, rng: Rng) -> bytes:
    return png(ImageOps.invert(_enlarged_and_cropped(digit, rng)))


def _enlarged_and_cropped(digit: Digit, rng: Rng) -> Image.Image:
    """Enlarges a digit 3 to 12 times and crops the image to the bounding box of the ink."""
    side = round(28 * between(rng, 3, 12))
    image = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    return image.crop(image.point(lambda level: 255 * (level > CROP_LEVEL)).getbbox())
