"""Preparation of images in the form of MNIST's own digits.

MNIST's digits are light ink on black, fitted into a box of 20x20 pixels with their aspect ratio and
placed in 28x28 with their center of mass in the middle (LeCun, Bottou, Bengio and Haffner 1998). A
network trained on them knows nothing else.

To add a step, call it in ``prepare`` or ``_find_digit`` and hand its result to ``on_step``, which
``--show-steps`` draws. ``segmentation/oversegment.py`` and ``segments.py`` prepare the digits of
``--multi`` with the same functions, in a sequence of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.core.evaluation.ood import bar_tilt
from digitcli.data.arrays import Box, Gray, Image28, Ink, bounding_box, longer_side, pixels_of
from digitcli.data.preprocessing.binarize import inner_image, separate_ink, stroke_mask
from digitcli.data.preprocessing.components import find_digit, stroke_width
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines

SIDE = 28
BOX = 20
BAR = 0.35  # maximum aspect ratio, width by height, of an upright bar
VISIBLE = 0.1  # minimum ink of a visible pixel
CENTER = SIDE // 2  # row and column that MNIST's centers of mass are rounded to

OnStep = Callable[[str, npt.NDArray[Any]], None]
"""Called with the name and image of each step: float32 in 0..1 or uint8."""

WORKING_SIDE = 500  # pixels of the longer side at which the digit is searched for
_TINY = 80  # pixels of the longer side of a digit that is searched for again, closer
_SOFT_EDGE = 0.05  # maximum width of a stroke's soft edge, as a fraction of the longer side
# Stroke widths in pixels of the 20x20 box: strokes below the first are widened to the second.
# Measured: of MNIST's training digits 5 % are below 1.65, half are below 2.36.
_THIN, _USUAL = 1.7, 2.1

_WHOLE = Box(0, 0, SIDE, SIDE)


@dataclass(frozen=True)
class PreparedDigit:
    """An image in MNIST form."""

    image: Image28
    others: int = 0  # other shapes in the original that are as large as a digit
    coverage: float = 1.0  # fraction of the image's ink but frames that is the digit's
    box: Box = _WHOLE  # of the digit in the image; all of one in MNIST form
    doubtful: bool = False  # True if the network is unsure that this is the image's one digit
    stripe: bool = False  # True for a bar from the upper to the lower border
    first: Image28 | None = None  # by ``prepare``, if the network chooses among interpretations

    @property
    def as_trained(self) -> Image28:
        """The image prepared as for training, without interpretations."""
        return self.image if self.first is None else self.first


def ignore_step(name: str, image: npt.NDArray[Any]) -> None:
    """Does nothing."""


class Prepare(Protocol):
    """Type of ``prepare`` and of other functions that prepare an image for a network."""

    def __call__(self, gray: Gray, on_step: OnStep = ...) -> PreparedDigit:
        """Prepares an image."""


def prepare(gray: Gray, on_step: OnStep = ignore_step) -> PreparedDigit:
    """Brings a grayscale image to MNIST form.

    The pixels of an image that has this form already, upright or inverted, stay the same.

    Raises:
        BlankPictureError: There is no ink in the image.
    """
    if (image := in_mnist_form(gray)) is not None:
        return keep(image, gray, on_step)
    inner = inner_image(gray)
    gray = gray[pixels_of(inner)]
    on_step("image", gray)
    digit, others, coverage, box = _find_digit(gray, on_step)
    strokes = thicken(digit)
    on_step("stroke width", strokes)
    box = Box(*np.add(box, 2 * inner[:2]).tolist())
    image = center_by_mass(fit(strokes))
    on_step("MNIST form", image)
    return PreparedDigit(image, others, coverage, box)


def keep(image: Image28, gray: Gray, on_step: OnStep) -> PreparedDigit:
    """Returns an image that has MNIST form already, ``image`` in uint8 and upright."""
    on_step("image", gray)
    on_step("MNIST form", image)
    return PreparedDigit(image)


def in_mnist_form(gray: Gray) -> Image28 | None:
    """Returns an image that has MNIST form already, upright or inverted; None for any other."""
    if gray.shape != (SIDE, SIDE):
        return None
    image = _to_bytes(gray)
    return next(filter(is_mnist_form, (image, 255 - image)), None)


def _find_digit(gray: Gray, on_step: OnStep) -> tuple[Ink, int, float, Box]:
    """Returns the digit's ink, cropped, the number of other shapes, coverage and box."""
    small = downscale(gray)
    ink = separate_ink(small)
    on_step("ink", ink)
    ink = remove_ruled_lines(ink)
    on_step("ruled lines removed", ink)
    mask = stroke_mask(ink)
    if not mask.any():
        raise BlankPictureError
    digit_mask, others, coverage = find_digit(ink, mask)
    box = bounding_box(digit_mask)
    side = longer_side(box)
    (height, width), (down, across) = gray.shape, small.shape
    left, top, right, bottom = box
    in_gray = Box(
        left * width // across,
        top * height // down,
        -(-right * width // across),
        -(-bottom * height // down),
    )
    if small.shape != gray.shape and side < _TINY:
        left, top, right, bottom = _with_margin(box, side, small.shape)
        closer = gray[
            top * height // down : bottom * height // down,
            left * width // across : right * width // across,
        ]
        on_step("closer", closer)
        digit, closer_others, *_ = _find_digit(closer, on_step)
        return digit, max(others, closer_others), coverage, in_gray
    # Other shapes are cleared; the soft edges of the digit's strokes stay.
    ink = np.where(mask & ~digit_mask, 0, ink)
    soft_edge = max(1, round(_SOFT_EDGE * side))
    digit = crop(ink[pixels_of(_with_margin(box, soft_edge, ink.shape))])
    on_step("digit", digit)
    return digit, others, coverage, in_gray


def _with_margin(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """Returns a box wider by a margin on each side, within an image of a shape."""
    height, width = shape
    wider = np.add(box, (-margin, -margin, margin, margin))
    return Box(*wider.clip(0, (width, height, width, height)).tolist())


def downscale(gray: Gray, side: int = WORKING_SIDE) -> Gray:
    """Returns an image whose longer side has at most so many pixels."""
    longest = max(gray.shape)
    if longest <= side:
        return gray
    height, width = (max(1, round(length * side / longest)) for length in gray.shape)
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BOX))


def thicken(ink: Ink) -> Ink:
    """Widens a cropped digit's strokes to a usual width in MNIST if they are thinner.

    Returns:
        The same array, or one of at most 100 pixels plus wider strokes the longer way.
    """
    width = stroke_width(ink) * BOX / max(ink.shape)
    if width >= _THIN or max(ink.shape) <= BOX:
        return ink
    small = downscale(ink, 5 * BOX)
    scale = max(small.shape) / BOX
    radius = (_USUAL - width) * scale / 2
    reach = int(np.ceil(radius))
    down, across = (side + 2 * reach for side in small.shape)
    padded = np.pad(small / max(float(small.max()), 1e-6), 2 * reach)
    wide = padded[reach:-reach, reach:-reach].copy()
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    weights = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    for top, left in np.argwhere(weights).tolist():
        shifted = padded[top : top + down, left : left + across]
        np.maximum(wide, shifted * weights[top, left], out=wide)
    return wide


def is_mnist_form(image: Image28) -> bool:
    """Returns True if an image could be one of MNIST's by its size, its box and center of mass."""
    if image.shape != (SIDE, SIDE):
        return False
    profiles = _profiles(image)
    spans = [[i for i, ink in enumerate(profile) if ink] for profile in profiles]
    if not all(spans):
        return False
    # Measured: 16 of MNIST's 70,000 images fill only 19 pixels.
    if not BOX - 1 <= max(span[-1] - span[0] + 1 for span in spans) <= BOX:
        return False
    starts = [
        abs(_centered(profile[span[0] : span[-1] + 1]) - span[0])
        for profile, span in zip(profiles, spans, strict=True)
    ]
    # Rounding, and 0.52, the maximum measured in MNIST.
    return max(starts) <= 0.55


def crop(ink: Ink) -> Ink:
    """Returns the visible ink's box; what JPEG leaves around strokes is not ink."""
    return ink[pixels_of(bounding_box(ink > VISIBLE))]


def fit(ink: Ink) -> Image28:
    """Scales ink to uint8, 20 pixels high or wide with its aspect ratio, brightest pixel 255."""
    longest = max(ink.shape)
    height, width = (max(1, round(side * BOX / longest)) for side in ink.shape)
    # Hamming averages without the jagged edges of a box; bicubic enlarges smoothly.
    kernel = Image.Resampling.HAMMING if longest > BOX else Image.Resampling.BICUBIC
    scaled = np.asarray(Image.fromarray(ink, mode="F").resize((width, height), kernel)).clip(0)
    image = _to_bytes((scaled / scaled.max()).astype(np.float32))
    if longer_side(bounding_box(image)) < BOX - 1:  # an edge too fine to survive the scaling
        return fit(crop(image.astype(np.float32) / np.float32(255)))
    return image


def is_bar(image: Image28) -> bool:
    """Returns True for a slender shape such as a 1, upright or leaning."""
    left, top, right, bottom = bounding_box(image)
    return right - left < BAR * (bottom - top) or bar_tilt(image) is not None


def to_mnist_form(ink: Ink) -> Image28:
    """Brings clean ink, which needs no threshold, to MNIST form as ``prepare`` does."""
    return center_by_mass(fit(thicken(crop(ink))))


def center_by_mass(image: Image28) -> Image28:
    """Places a digit in 28x28 with its center of mass in the middle, unless that would cut it."""
    digit = image[pixels_of(bounding_box(image))]
    row, column = (round(_centered(profile)) for profile in _profiles(digit))
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    canvas[row : row + digit.shape[0], column : column + digit.shape[1]] = digit
    return canvas


def _profiles(image: Image28) -> tuple[list[int], list[int]]:
    """Returns the sums of each row and of each column."""
    return np.add.reduce(image, axis=1).tolist(), np.add.reduce(image, axis=0).tolist()


def _centered(profile: list[int]) -> float:
    """Returns the row or column at which a cropped digit starts with its mass centered."""
    mean = sum(i * ink for i, ink in enumerate(profile)) / sum(profile)
    return min(max(0.0, CENTER - mean), SIDE - len(profile))


def _to_bytes(gray: Gray) -> Image28:
    return np.rint(gray * 255).astype(np.uint8)
