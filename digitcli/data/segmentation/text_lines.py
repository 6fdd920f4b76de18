"""Rows of writing: which components stand above each other, and which side by side."""

import itertools

import numpy as np

from digitcli.data.arrays import Boxes, distances, gaps, sizes, union

# Heights and gaps are fractions of a typical digit's height; where all digits are broken, this is
# the height of the larger components.
_SMALL = 0.5  # height below which a component is a part of a digit or a dot
_ABOVE, _BESIDE = 0.6, 0.3  # minimum overlap in width, maximum in height, by the smaller one's
_MAX_GAP, _MAX_HEIGHT = 0.2, 1.7  # maximum gap of stacked components, and their total height
_SAME_ROW = 0.5  # minimum overlap of neighbors in a row, as a fraction of the lower one's height
# Maximum gap and overlap between the parts of a diagonal row, distance of a digit from its line,
# and slope of the line.
_NEXT, _OVERLAP, _OFF_LINE, _MAX_SLOPE = 1.5, 0.2, 0.4, 1.3
_MAX_PARTS = 30  # maximum number of rows that could be parts of diagonal ones


def join_stacked(boxes: Boxes, height: float) -> Boxes:
    """Joins components above each other, such as the strokes of a broken 5, to digits.

    Args:
        boxes: int64 (count, 4), of the components.
        height: Height of a typical digit in pixels.

    Returns:
        Number of each component's digit from 0, int64 (count,).
    """
    around = boxes.copy()
    stack = np.arange(len(boxes))
    for i in range(len(boxes)):
        across, down = -gaps(around, around[i]).T
        narrower, lower = np.minimum(sizes(around), sizes(around)[i]).T
        total = np.maximum(around[:, 3], around[i, 3]) - np.minimum(around[:, 1], around[i, 1])
        joined = (
            (across >= _ABOVE * narrower)
            & (down <= _BESIDE * lower)
            & (down >= -_MAX_GAP * height)
            & (total <= _MAX_HEIGHT * height)
        )
        members = np.isin(stack, stack[joined | (stack == stack[i])])
        stack[members] = stack[i]
        around[members] = union(around[members])
    return np.unique(stack, return_inverse=True)[1]


def find_rows(boxes: Boxes, height: float) -> Boxes:
    """Assigns boxes to rows of writing, numbered from the top.

    A box and the next one to its right at about the same height stand in one row, so a row may rise
    or fall along the page. In a steep row neighbors are at other heights, but on one line. Small
    ones join the row of the nearest tall one.

    Returns:
        Number of each box's row from 0, int64 (count,).
    """
    heights = sizes(boxes)[:, 1]
    x, y = boxes[:, ::2].mean(axis=1), boxes[:, 1::2].mean(axis=1)
    tall = np.flatnonzero(heights >= _SMALL * height)
    row = np.arange(len(boxes))
    for i in tall[np.argsort(x[tall], kind="stable")]:
        overlap = -gaps(boxes[tall], boxes[i])[:, 1]
        level = overlap >= _SAME_ROW * np.minimum(heights[tall], heights[i])
        after = tall[level & (x[tall] > x[i])]
        if len(after):
            row[row == row[after[x[after].argmin()]]] = row[i]
    row[tall] = _join_diagonals(boxes[tall], row[tall], height)
    for i in np.flatnonzero(heights < _SMALL * height):
        row[i] = row[tall[distances(boxes[tall], boxes[i]).argmin()]]
    names = np.unique(row[tall])
    order = np.argsort([y[tall][row[tall] == name].mean() for name in names], kind="stable")
    rank = np.empty(len(boxes), np.int64)
    rank[names[order]] = np.arange(len(names))
    return rank[row]


def _join_diagonals(boxes: Boxes, row: Boxes, height: float) -> Boxes:
    """Joins rows that continue each other on a slanted line; returns each box's row."""
    row = row.copy()
    while 1 < len(names := np.unique(row)) <= _MAX_PARTS:
        pairs = itertools.combinations([boxes[row == name] for name in names], 2)
        gap, first, second = min(
            (_diagonal_gap(one, other, height), *pair)
            for pair, (one, other) in zip(itertools.combinations(names, 2), pairs, strict=True)
        )
        if gap > _NEXT * height:
            break
        row[row == second] = first
    return row


def _diagonal_gap(one: Boxes, other: Boxes, height: float) -> float:
    """Returns the gap between rows that are side by side on one line; infinite for others."""
    left, right = (one, other) if one[:, 0].min() < other[:, 0].min() else (other, one)
    if left[:, 2].max() - right[:, 0].min() > _OVERLAP * height:
        return np.inf
    both = np.concatenate([left, right])
    x, y = both[:, ::2].mean(axis=1), both[:, 1::2].mean(axis=1)
    if not np.ptp(x):  # in an upright line, to which no slope can be fitted
        return np.inf
    slope, start = np.polyfit(x, y, 1)
    if abs(slope) > _MAX_SLOPE or np.abs(slope * x + start - y).max() > _OFF_LINE * height:
        return np.inf
    return float(min(distances(left, box).min() for box in right))
