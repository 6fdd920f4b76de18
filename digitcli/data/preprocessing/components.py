"""Telling apart the shapes of a picture: which pieces of ink are the digit, and which are not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Ink, Mask

_PIECES = 150
"""Pieces looked at, the heaviest first; a dotted digit has dozens, grain has thousands."""

_REACH = 0.15
"""Gap, as a share of the larger piece's side, over which pieces belong together: the bar of a 5."""

_PEN_REACH = 2.5
"""The same in widths of the stroke, which is what a dotted line goes by."""

_SPECK = 0.04
"""Mass, as a share of the heaviest piece's, under which a piece of a digit is dust."""

_SHAPE_MASS, _SHAPE_SIDE = 0.2, 0.4
"""Share of the digit's mass and of its longer side from which another shape could be a digit."""

_CUT = (1.0, 0.3, 0.03, 0.003, 0.003)
"""What a shape counts for that touches none, one, two, three or all of the picture's borders: a
neighbour's stroke touches one, the table beneath the paper more."""


_FRAMED_HEIGHT, _FRAMED_MASS = 0.25, 0.05
"""What a frame is around has at least this share of its height and of its mass; a dot in a 0 does
not make it a frame."""

_SIDE_DEPTH, _SIDE_COVER = 0.12, 0.8
"""A frame's side lies within this share of its box, and covers this share of the box's edge; the
top of a round 0 covers half."""


@dataclass(frozen=True)
class DigitPixels:
    """The digit among the shapes of a picture.

    Attributes:
        mask: bool, of the picture's shape: the pixels of the digit's strokes.
        others: Further whole shapes as large as a digit.
    """

    mask: Mask
    others: int


@dataclass(frozen=True)
class Pieces:
    """Connected pieces of ink, the heaviest first.

    Attributes:
        labels: int, of the picture's shape; 0 for paper, piece i has the label ``i + 1``.
        boxes: int (pieces, 4): top, left, bottom and right, the last two exclusive.
        mass: float (pieces,), the sum of ink.
    """

    labels: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    mass: npt.NDArray[np.float64]


def find_digit(ink: Ink, mask: Mask) -> DigitPixels:
    """Chooses the shape that is the digit.

    Pieces of ink that lie near each other make a shape. The heaviest shape is the digit, where one
    that is cut by the picture's border, as a neighbour's stroke is, counts for less. A frame around
    other ink is no digit, and dust within a digit is taken out.

    Args:
        ink: float32 (height, width), 0 for paper and 1 for full ink.
        mask: bool (height, width), at least one pixel: where a stroke is.
    """
    pieces = find_pieces(mask, ink)
    boxes, mass = pieces.boxes, pieces.mass
    usable = ~find_frames(pieces)
    shapes = _shapes(boxes, usable, stroke_width(ink * mask))

    def weight(shape: list[int]) -> float:
        return float(mass[shape].sum()) * _CUT[_borders(_around(boxes[shape]), mask)]

    shapes.sort(key=weight, reverse=True)
    digit = [i for i in shapes[0] if mass[i] >= _SPECK * mass[shapes[0]].max()]
    total, side = mass[digit].sum(), _side(_around(boxes[digit]))
    others = sum(
        bool(
            not _borders(_around(boxes[shape]), mask)  # cut off, it is a neighbour's
            and mass[shape].sum() >= _SHAPE_MASS * total
            and _side(_around(boxes[shape])) >= _SHAPE_SIDE * side
        )
        for shape in shapes[1:]
    )
    return DigitPixels(np.isin(pieces.labels, np.array(digit) + 1), others)


def stroke_width(ink: Ink) -> float:
    """Estimates the width of strokes in pixels.

    A stroke much longer than wide has an area of length times width, and an outline of twice its
    length; grey edges count by their share.
    """
    padded = np.pad(ink, 1)
    down = padded[1:, :-1] - padded[:-1, :-1]
    right = padded[:-1, 1:] - padded[:-1, :-1]
    outline = float(np.sqrt(down * down + right * right).sum())
    return 2 * float(ink.sum()) / outline if outline else 0.0


def find_pieces(mask: Mask, ink: Ink, most: int = _PIECES) -> Pieces:
    """Labels what is connected, diagonals included, run by run.

    scipy.ndimage.label does the same, but importing it takes longer than all else that reading a
    picture needs.
    """
    height, width = mask.shape
    framed = np.zeros((height, width + 2), dtype=np.int8)
    framed[:, 1:-1] = mask
    change = np.diff(framed, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    row_of, start_of, end_of = rows.tolist(), starts.tolist(), ends.tolist()
    above = 0
    for run, row in enumerate(row_of):
        while row_of[above] < row - 1 or (
            row_of[above] == row - 1 and end_of[above] < start_of[run]
        ):
            above += 1
        other = above
        while row_of[other] == row - 1 and start_of[other] <= end_of[run]:
            parents[root(other)] = root(run)
            other += 1
    roots, piece_of = np.unique([root(run) for run in range(len(parents))], return_inverse=True)

    sums = np.zeros((height, width + 1))
    np.cumsum(ink, axis=1, out=sums[:, 1:])
    mass: npt.NDArray[np.float64] = np.bincount(
        piece_of, sums[rows, ends] - sums[rows, starts], len(roots)
    ).astype(np.float64)
    boxes = np.empty((len(roots), 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = max(height, width), 0
    np.minimum.at(boxes[:, 0], piece_of, rows)
    np.minimum.at(boxes[:, 1], piece_of, starts)
    np.maximum.at(boxes[:, 2], piece_of, rows + 1)
    np.maximum.at(boxes[:, 3], piece_of, ends)

    order = np.argsort(-mass, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    labels = np.zeros(mask.shape, dtype=np.int64)
    labels[mask] = np.repeat(rank[piece_of] + 1, ends - starts)
    return Pieces(labels, boxes[order][:most], mass[order][:most])


def find_frames(pieces: Pieces) -> Mask:
    """Says of each piece whether it is a frame: it has four straight sides, and ink within."""
    boxes, mass = pieces.boxes, pieces.mass
    frames = np.zeros(len(boxes), dtype=bool)
    for i, box in enumerate(boxes):
        top, left, bottom, right = box
        inside = (boxes[:, :2] > box[:2]).all(axis=1) & (boxes[:, 2:] < box[2:]).all(axis=1)
        tall = (boxes[:, 2] - boxes[:, 0]) >= _FRAMED_HEIGHT * (bottom - top)
        if not (inside & tall & (mass >= _FRAMED_MASS * mass[i])).any():
            continue
        piece = pieces.labels[top:bottom, left:right] == i + 1
        height, width = (max(1, round(_SIDE_DEPTH * side)) for side in piece.shape)
        sides = (piece[:height], piece[-height:], piece[:, :width].T, piece[:, -width:].T)
        frames[i] = all(side.any(axis=0).mean() >= _SIDE_COVER for side in sides)
    return frames


def _shapes(boxes: npt.NDArray[np.int64], usable: Mask, pen: float) -> list[list[int]]:
    """Groups pieces that are near each other."""
    left = [int(i) for i in np.flatnonzero(usable)]
    shapes = []
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    while left:
        shape, edge = [], [left.pop(0)]
        while edge:
            i = edge.pop()
            shape.append(i)
            gap = np.maximum(boxes[i, :2] - boxes[left, 2:], boxes[left, :2] - boxes[i, 2:])
            distance = np.hypot(*gap.clip(0).T)
            reach = np.maximum(_PEN_REACH * pen, _REACH * np.maximum(sides[i], sides[left]))
            near = [
                other for other, is_near in zip(left, distance <= reach, strict=True) if is_near
            ]
            edge += near
            left = [other for other in left if other not in near]
        shapes.append(shape)
    return shapes


def _around(boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _side(box: npt.NDArray[np.int64]) -> int:
    return int((box[2:] - box[:2]).max())


def _borders(box: npt.NDArray[np.int64], mask: Mask) -> int:
    """Counts the borders that a box touches, or all but touches."""
    near = min(mask.shape) // 100
    return int((box[:2] <= near).sum() + (box[2:] >= np.array(mask.shape) - near).sum())
