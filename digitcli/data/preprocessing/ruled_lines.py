"""The lines of ruled and squared paper: finding and removing them."""

import math

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Floats, Ink, Mask

_LINE_INK = 0.15  # minimum ink of a line's pixels
_LINE_COVER = 0.75  # minimum fraction of the image's width that a line covers
_FAINT_LINE, _SEVERAL = 0.6, 3  # maximum ink of a line, unless there are at least so many lines
_CROSSING_INK = 0.5  # minimum ink on either side of a line where a stroke crosses it
_DARKER = 0.25  # minimum difference between a line and the ink that crosses it
_MAX_THICKNESS = 0.04  # maximum thickness of a line, as a fraction of the image's height
_MARGIN = 0.05  # along the border, where lines do not touch the digit; of the image's height
_MIN_REMAINING = 0.1  # minimum fraction of ink beside the lines, or the lines are the digit
_MIN_SIDE = 64  # minimum pixels of the shorter side; below, lines are as thick as strokes
_MAX_SLOPE = math.tan(math.radians(5))


def remove_ruled_lines(ink: Ink, bands: int = 1) -> Ink:
    """Removes the lines of ruled and squared paper.

    Such a line crosses the whole image, straight and thin, and is fainter than the digit or one of
    several. Where strokes cross the line, their darker ink stays, and what joins ink on both sides.

    Args:
        ink: Of the image.
        bands: Number of bands, in which a curved line is straight, or one interrupted by a shadow.
    """
    for _ in range(2):
        ink = np.concatenate(
            [_without_rows(band) for band in np.array_split(ink, bands, axis=1)], 1
        )
        ink = np.ascontiguousarray(ink.T)
    return ink


def _without_rows(ink: Ink) -> Ink:
    """Removes the lines from the left border to the right one."""
    lines = _find_lines(ink > _LINE_INK)
    columns = np.arange(ink.shape[1])
    cleared = ink.copy()
    for rows, reach in lines:
        level = float(np.median(ink[rows, columns]))
        if len(lines) < _SEVERAL and level > _FAINT_LINE:
            continue
        above, below = (
            _widened(
                ink[(rows + side * (reach + 1)).clip(0, len(ink) - 1), columns] > _CROSSING_INK
            )
            for side in (-1, 1)
        )
        crossing = above & below
        for offset in range(-reach, reach + 1):
            at = (rows + offset).clip(0, len(ink) - 1)
            values = ink[at, columns]
            keep = (values > level + _DARKER) | crossing
            cleared[at, columns] = np.where(keep, values, 0)
    return cleared if cleared.sum() >= _MIN_REMAINING * ink.sum() else ink


def _widened(inked: Mask) -> Mask:
    """Returns True within two columns of inked ones: strokes are slanted."""
    return np.convolve(inked, np.ones(5, dtype=int), "same") > 0


def _find_lines(mask: Mask) -> list[tuple[npt.NDArray[np.int64], int]]:
    """Finds thin straight lines from the left border to the right one.

    Returns:
        For each line the row of its center in every column, int64 (width,), and half its width.
    """
    height, width = mask.shape
    edge = width // 20
    inked: Mask = mask.max(axis=0)
    if (
        min(height, width) < _MIN_SIDE
        or inked.mean() < _LINE_COVER
        or not (inked[:edge].any() and inked[-edge:].any())
    ):
        return []  # a fast way out for nearly all images: nothing crosses them
    reach = round(_MAX_SLOPE * width / 2) + 1
    offsets, coverage = line_coverage(mask, _MAX_SLOPE, reach, step=max(1, width // 100))
    slope, best = coverage.argmax(axis=0), coverage.max(axis=0)

    on_line = np.flatnonzero(best >= _LINE_COVER)
    lines = []
    for group in np.split(on_line, np.flatnonzero(np.diff(on_line) > 1) + 1):
        if not len(group) or len(group) > max(3, _MAX_THICKNESS * height):
            continue
        center = int(group[best[group].argmax()])
        if _MARGIN * height < center < (1 - _MARGIN) * height:
            row = (center + offsets[slope[center]]).clip(0, height - 1)
            lines.append((row, len(group) // 2 + 1))
    return lines


def line_coverage(
    mask: Mask, max_slope: float, reach: int, step: int = 1
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Measures how much of each line across the mask is in it, as in a Hough transform.

    Args:
        mask: bool (height, width).
        max_slope: Maximum slope of a line, up or down.
        reach: Maximum rows of a line above its center; 2 * reach + 1 slopes are tried.
        step: Spacing of the columns that are sampled.

    Returns:
        Rows of a slope's line below its center in each column, int64 (slopes, width), and the
        fraction of a line in the mask by slope and center row, float64 (slopes, height).
    """
    height, width = mask.shape
    columns = np.arange(width)
    slopes = np.linspace(-max_slope, max_slope, 2 * reach + 1)
    offsets = np.rint(slopes[:, None] * (columns - width / 2)).astype(np.int64)
    padded = np.pad(mask, ((reach, reach), (0, 0)))
    rows, some = np.arange(height)[:, None] + reach, columns[::step]
    return offsets, np.stack([padded[rows + offset[some], some].mean(axis=1) for offset in offsets])
