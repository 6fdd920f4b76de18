"""Rows of writing: which pieces of ink stand above each other, and which side by side."""

import numpy as np

from digitcli.data.arrays import Boxes, Floats

_SMALL = 0.5
"""Share of a digit's height under which a piece is but a part of one, or a dot."""

_ABOVE, _BESIDE = 0.6, 0.3
"""Pieces stand above each other where they share so much of the narrower one's width at least, and
of the lower one's height at most."""

_GAP, _HEIGHT = 0.2, 1.7
"""The gap between pieces of a digit that stand above each other, and its height in all, at most; as
shares of a typical digit's height, which is that of the larger pieces where all are broken."""

_SAME_ROW = 0.5
"""Share of the lower one's height that two pieces in a row have in common at least."""


def stacks(boxes: Boxes, height: float) -> Boxes:
    """Joins pieces that stand above each other, as the upper stroke of a 5 does: they are a digit.

    Args:
        boxes: int (pieces, 4): top, left, bottom and right, the last two exclusive.
        height: Of a typical digit, in pixels.

    Returns:
        int (pieces,), which stack each is of; they are numbered from 0.
    """
    around = boxes.copy()
    stack = np.arange(len(boxes))
    for i in range(len(boxes)):
        shared = _shared(around, around[i])
        sizes = around[:, 2:] - around[:, :2]
        smaller = np.minimum(sizes, sizes[i])
        both = np.maximum(around[:, 2], around[i, 2]) - np.minimum(around[:, 0], around[i, 0])
        joined = (
            (shared[:, 1] >= _ABOVE * smaller[:, 1])
            & (shared[:, 0] <= _BESIDE * smaller[:, 0])
            & (shared[:, 0] >= -_GAP * height)
            & (both <= _HEIGHT * height)
        )
        members = np.isin(stack, stack[joined | (stack == stack[i])])
        stack[members] = stack[i]
        around[members, :2] = around[members, :2].min(axis=0)
        around[members, 2:] = around[members, 2:].max(axis=0)
    return np.unique(stack, return_inverse=True)[1]


def rows_of(boxes: Boxes, height: float) -> Boxes:
    """Says which row of writing each piece stands in, counted from the top.

    A piece and the next to the right that is about as high up stand in one row, which so may climb
    or fall along the page.

    Args:
        boxes: int (pieces, 4): top, left, bottom and right, the last two exclusive.
        height: Of a typical digit, in pixels.

    Returns:
        int (pieces,), from 0.
    """
    heights = boxes[:, 2] - boxes[:, 0]
    middles = boxes[:, 1::2].mean(axis=1)
    tall = np.flatnonzero(heights >= _SMALL * height)
    row = np.arange(len(boxes))
    for i in tall[np.argsort(middles[tall], kind="stable")]:
        shared = _shared(boxes[tall], boxes[i])[:, 0]
        level = shared >= _SAME_ROW * np.minimum(heights[tall], heights[i])
        after = tall[level & (middles[tall] > middles[i])]
        if len(after):
            row[row == row[after[middles[after].argmin()]]] = row[i]
    for i in np.flatnonzero(heights < _SMALL * height):
        apart = -_shared(boxes[tall], boxes[i]).clip(max=0)
        row[i] = row[tall[np.hypot(*apart.T).argmin()]]
    names = np.unique(row[tall])
    levels: Floats = boxes[:, ::2].mean(axis=1)
    order = np.argsort([levels[tall][row[tall] == name].mean() for name in names], kind="stable")
    rank = np.empty(len(boxes), np.int64)
    rank[names[order]] = np.arange(len(names))
    return rank[row]


def _shared(boxes: Boxes, box: Boxes) -> Boxes:
    """Returns the height and width that boxes have in common with one; negative for a distance."""
    shared: Boxes = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return shared
