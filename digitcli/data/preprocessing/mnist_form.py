"""Bringing a picture to the form of MNIST's own digits.

MNIST's digits are light ink on black, fitted into a box of 20x20 pixels with their aspect kept, and
placed in 28x28 so that their centre of mass is at the middle (LeCun, Bottou, Bengio and Haffner
1998). A network trained on them knows nothing else, so a user's picture is brought to just that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Gray, Image28, Ink
from digitcli.data.preprocessing.binarize import separate_ink, stroke_mask, trim_padding
from digitcli.data.preprocessing.components import find_digit, stroke_width
from digitcli.data.preprocessing.ruled_lines import remove_ruling

SIDE = 28
BOX = 20
CENTRE = SIDE // 2
"""Index of the row and column that MNIST's centres of mass are rounded to."""

Watch = Callable[[str, npt.NDArray[Any]], None]

VISIBLE = 0.1
"""Share of full ink from which a pixel belongs to a stroke's extent."""

_WORKING_SIDE = 500
"""Pixels of the longer side at which the digit is looked for."""

_TINY = 80
"""Pixels of the digit's longer side under which it is looked at again, closer."""

_SOFT = 0.05
"""Width of a stroke's soft edges at most, as a share of the digit's longer side."""

_THIN, _PEN = 1.7, 2.1
"""Widths in pixels of the 20x20 box: strokes thinner than the first are brought to the second.
Of MNIST's training digits 5 % are thinner than 1.65, half are thinner than 2.36."""


@dataclass(frozen=True)
class Digit:
    """A picture brought to MNIST form.

    Attributes:
        picture: uint8 (28, 28), ink light on black.
        others: Further shapes in the picture that are as large as a digit.
    """

    picture: Image28
    others: int = 0


def unwatched(name: str, stage: npt.NDArray[Any]) -> None:
    """Watches nothing."""


class Prepare(Protocol):
    """Brings a grey picture to the form that a network was trained on, as ``prepare`` does."""

    def __call__(self, grey: Gray, watch: Watch = ...) -> Digit:
        """See ``prepare``."""
        ...


def prepare(grey: Gray, watch: Watch = unwatched) -> Digit:
    """Brings a grey picture to MNIST form.

    A picture that already has the form, upright or inverted, comes back with the same pixels.

    Args:
        grey: float32 (height, width) in 0..1, of any size from 1x1.
        watch: Called with the name of each step and its picture: float32 in 0..1 or uint8.

    Raises:
        BlankPictureError: There is no ink on it.
    """
    if (picture := in_mnist_form(grey)) is not None:
        watch("picture", grey)
        watch("in MNIST's form", picture)
        return Digit(picture)
    grey = trim_padding(grey)
    watch("picture", grey)
    digit, others = _look(grey, watch)
    pen = thicken(digit)
    watch("pen", pen)
    picture = centre(fit(pen))
    watch("in MNIST's form", picture)
    return Digit(picture, others)


def in_mnist_form(grey: Gray) -> Image28 | None:
    """Returns a picture that has MNIST's form already, upright or inverted; None for any other."""
    if grey.shape != (SIDE, SIDE):
        return None
    picture = _to_bytes(grey)
    if is_mnist_form(picture):
        return picture
    inverted = 255 - picture
    return inverted if is_mnist_form(inverted) else None


def _look(grey: Gray, watch: Watch) -> tuple[Ink, int]:
    """Finds the digit's ink: cropped, and how many other shapes there are."""
    small = _reduced(grey, _WORKING_SIDE)
    ink = separate_ink(small)
    watch("ink", ink)
    ink = remove_ruling(ink)
    watch("without ruling", ink)
    mask = stroke_mask(ink)
    if not mask.any():
        raise BlankPictureError
    found = find_digit(ink, mask)
    top, left, height, width = _bounds(found.mask)
    if small.shape != grey.shape and max(height, width) < _TINY:
        margin = max(height, width)
        rows, columns = (
            slice(
                max(0, start - margin) * full // reduced,
                min(reduced, start + length + margin) * full // reduced,
            )
            for start, length, full, reduced in (
                (top, height, grey.shape[0], small.shape[0]),
                (left, width, grey.shape[1], small.shape[1]),
            )
        )
        watch("closer", grey[rows, columns])
        closer, _ = _look(grey[rows, columns], watch)
        return closer, found.others
    # What belongs to other shapes goes; the soft edges of the digit's strokes stay.
    ink = np.where(mask & ~found.mask, 0, ink)
    reach = max(1, round(_SOFT * max(height, width)))
    rows = slice(max(0, top - reach), top + height + reach)
    columns = slice(max(0, left - reach), left + width + reach)
    digit = crop(ink[rows, columns])
    watch("digit", digit)
    return digit, found.others


def _reduced(grey: Gray, side: int) -> Gray:
    longest = max(grey.shape)
    if longest <= side:
        return grey
    height, width = (max(1, round(length * side / longest)) for length in grey.shape)
    resized = Image.fromarray(grey).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized)


def thicken(ink: Ink) -> Ink:
    """Brings strokes that are thinner than MNIST's to the width of a pen there.

    Args:
        ink: float32 (height, width), a cropped digit.

    Returns:
        The same, or at most 100 pixels the longer way with wider strokes.
    """
    width = stroke_width(ink) * BOX / max(ink.shape)
    if width >= _THIN or max(ink.shape) <= BOX:
        return ink
    small = _reduced(ink, 5 * BOX)
    scale = max(small.shape) / BOX
    radius = (_PEN - width) * scale / 2
    reach = int(np.ceil(radius))
    down, across = (side + 2 * reach for side in small.shape)
    padded = np.pad(small / max(float(small.max()), 1e-6), 2 * reach)
    wide = padded[reach:-reach, reach:-reach].copy()
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    shares = np.clip(radius + 0.5 - away, 0, 1).astype(np.float32)
    for top, left in np.argwhere(shares).tolist():
        shifted = padded[top : top + down, left : left + across]
        np.maximum(wide, shifted * shares[top, left], out=wide)
    return wide


def is_mnist_form(picture: Image28) -> bool:
    """Says whether a picture could be one of MNIST's: its size, its box, its centre of mass."""
    if picture.shape != (SIDE, SIDE) or not picture.any():
        return False
    top, left, height, width = _bounds(picture)
    if not BOX - 1 <= max(height, width) <= BOX:  # 16 of MNIST's 70,000 fill only 19 pixels
        return False
    row, column = _position(picture[top : top + height, left : left + width])
    return max(abs(row - top), abs(column - left)) <= 0.55  # rounding, and MNIST's own 0.52


def crop(ink: Ink) -> Ink:
    """Cuts away everything around the ink; what JPEG leaves around strokes is not ink."""
    top, left, height, width = _bounds(ink > VISIBLE)
    return ink[top : top + height, left : left + width]


def fit(ink: Ink) -> Image28:
    """Scales to fill 20 pixels the longer way, keeping the aspect.

    Returns:
        uint8, 20 pixels high or wide, its brightest pixel 255.
    """
    height, width = ink.shape
    longest = max(height, width)
    size = (max(1, round(width * BOX / longest)), max(1, round(height * BOX / longest)))
    # Hamming averages when it shrinks, without the jagged edges of a box; bicubic is smooth when
    # it enlarges.
    filter_ = Image.Resampling.HAMMING if longest > BOX else Image.Resampling.BICUBIC
    scaled = np.asarray(Image.fromarray(ink, mode="F").resize(size, filter_)).clip(0)
    picture = _to_bytes((scaled / scaled.max()).astype(np.float32))
    _, _, height, width = _bounds(picture)
    if max(height, width) < BOX - 1:  # an edge too fine to survive the scaling
        return fit(crop(picture.astype(np.float32) / np.float32(255)))
    return picture


def centre(picture: Image28) -> Image28:
    """Places a digit in 28x28 with its centre of mass at the middle, as far as it stays whole."""
    top, left, height, width = _bounds(picture)
    digit = picture[top : top + height, left : left + width]
    row, column = map(round, _position(digit))
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    canvas[row : row + height, column : column + width] = digit
    return canvas


def _position(digit: Image28) -> tuple[float, float]:
    """Returns the row and column of a cropped digit's corner that centre its mass."""
    row, column = (_start(digit.sum(axis=axis, dtype=np.float64)) for axis in (1, 0))
    return row, column


def _start(profile: npt.NDArray[np.float64]) -> float:
    """Returns where a digit starts along an axis so that its mass, summed across, is centred."""
    middle = float(profile @ np.arange(len(profile))) / float(profile.sum())
    return min(max(0.0, CENTRE - middle), SIDE - len(profile))


def _bounds(picture: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    """Returns top, left, height and width of the smallest box around all that is not black."""
    (rows,), (columns,) = (np.nonzero(picture.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def _to_bytes(grey: Gray) -> Image28:
    return np.rint(grey * 255).astype(np.uint8)
