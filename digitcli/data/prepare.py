"""Bringing a picture to the form of MNIST's own digits.

MNIST's digits are light ink on black, fitted into a box of 20x20 pixels with their aspect kept, and
placed in 28x28 so that their centre of mass is at the middle (LeCun, Bottou, Bengio and Haffner
1998). A network trained on them knows nothing else, so a user's picture is brought to just that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.core.errors import PictureError

SIDE = 28
BOX = 20
CENTRE = SIDE // 2
"""Index of the row and column that MNIST's centres of mass are rounded to."""

Grey = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

_FAINTEST = 0.05
"""Contrast of ink to paper under which a picture is blank; faint pencil on a photo has 0.1."""


_VISIBLE = 0.1
"""Share of full ink from which a pixel belongs to a stroke's extent."""


def prepare(grey: Grey) -> Picture:
    """Brings a grey picture to MNIST form.

    A picture that already has the form, upright or inverted, comes back with the same pixels.

    Args:
        grey: float32 (height, width) in 0..1, of any size from 1x1.

    Returns:
        uint8 (28, 28), ink light on black.

    Raises:
        PictureError: There is no ink on it.
    """
    as_given = _to_bytes(grey)
    for picture in (as_given, 255 - as_given):
        if is_mnist_form(picture):
            return picture
    return centre(fit(crop(remove_paper(grey))))


def is_mnist_form(picture: Picture) -> bool:
    """Says whether a picture could be one of MNIST's: its size, its box, its centre of mass."""
    if picture.shape != (SIDE, SIDE) or not picture.any():
        return False
    top, left, height, width = _bounds(picture)
    if not BOX - 1 <= max(height, width) <= BOX:  # 16 of MNIST's 70,000 fill only 19 pixels
        return False
    expected = _position(picture[top : top + height, left : left + width])
    return bool(np.abs(expected - (top, left)).max() <= 0.55)  # rounding, and MNIST's own 0.52


def remove_paper(grey: Grey) -> Grey:
    """Makes ink light on black, whatever the colours of ink and paper were.

    The border shows the paper. Ink is what differs from it, on the side (darker or lighter) where
    the difference reaches further. What stays within the paper's own unevenness is cleared.

    Returns:
        float32 of the same shape, 0 for paper and 1 for full ink.

    Raises:
        PictureError: Nothing stands out from the paper.
    """
    rim = max(1, min(grey.shape) // 20)
    inner = np.zeros(grey.shape, dtype=bool)
    inner[rim:-rim, rim:-rim] = True
    paper = np.median(grey[~inner])
    # Percentiles rather than extremes, so that single hot or dead pixels do not decide.
    darkest, lightest = np.percentile(grey, (0.1, 99.9))
    ink = paper - grey if paper - darkest >= lightest - paper else grey - paper
    ink = np.clip(ink, 0, None)
    full = float(np.percentile(ink, 99.9))
    if full < _FAINTEST:
        raise PictureError("the picture is blank", "draw a digit, dark on light or light on dark")

    threshold = _otsu(ink)
    below = ink[ink <= threshold]
    unevenness = float(np.percentile(below, 90)) if below.size else 0.0
    floor = min(1.5 * unevenness, threshold)
    above = ink[ink > threshold]
    full = max(float(np.median(above)) if above.size else full, floor + 1e-3)
    cleared: Grey = np.clip((ink - floor) / (full - floor), 0, 1).astype(np.float32)
    return cleared


def crop(ink: Grey) -> Grey:
    """Cuts away everything around the ink; what JPEG leaves around strokes is not ink."""
    top, left, height, width = _bounds(ink > _VISIBLE)
    return ink[top : top + height, left : left + width]


def fit(ink: Grey) -> Picture:
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


def centre(picture: Picture) -> Picture:
    """Places a digit in 28x28 with its centre of mass at the middle, as far as it stays whole."""
    top, left, height, width = _bounds(picture)
    digit = picture[top : top + height, left : left + width]
    row, column = np.rint(_position(digit)).astype(int)
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    canvas[row : row + height, column : column + width] = digit
    return canvas


def _position(digit: Picture) -> npt.NDArray[np.float64]:
    """Returns the row and column of a cropped digit's corner that centre its mass."""
    mass = digit.astype(np.float64)
    middle = np.array(
        [
            (mass.sum(axis=1) * np.arange(digit.shape[0])).sum(),
            (mass.sum(axis=0) * np.arange(digit.shape[1])).sum(),
        ]
    )
    corner: npt.NDArray[np.float64] = CENTRE - middle / mass.sum()
    return corner.clip(0, SIDE - np.array(digit.shape))


def _bounds(picture: npt.NDArray[Any]) -> tuple[int, int, int, int]:
    """Returns top, left, height and width of the smallest box around all that is not black."""
    rows = np.flatnonzero(picture.any(axis=1))
    columns = np.flatnonzero(picture.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def _to_bytes(grey: Grey) -> Picture:
    return np.rint(grey * 255).astype(np.uint8)


def _otsu(values: Grey) -> float:
    """Returns the threshold that best parts values into two groups (Otsu 1979).

    Between groups that are wholly apart, every threshold is as good: the middle one is taken.
    """
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts)
    rest = weight[-1] - weight
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = weight * rest * (mass / weight - (mass[-1] - mass) / rest) ** 2
    between = np.nan_to_num(between)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1 + int(best[len(best) // 2])])
