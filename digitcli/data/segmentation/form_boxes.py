"""Boxes that digits are written into, a form's or a grid's: telling their walls from the digits."""

import math

import numpy as np

from digitcli.data.arrays import Boxes, Ink, Mask
from digitcli.data.preprocessing.components import Pieces, find_pieces

_TALL = 0.25
"""Share of a box's height that what is written in it has at least."""

_STRAIGHT = 0.85
"""Share of its own box that the room within four straight walls fills, even when it is turned a
little; the inside of a round 0 fills 0.79."""

_ACROSS, _DOWN = 0.8, 0.95
"""Share of a frame's width, and of its height, that its lines have ink over; a 1 that fills its box
covers nine tenths of the height."""

_SKEW = math.tan(math.radians(3))
"""How far a frame is turned at most."""

_FAINT = 0.15
"""Ink from which a wall is seen; it is often fainter than the pen."""

_NESTED = 3
"""Frames within each other, as a page's edge, a form's table and its boxes are."""


def without_frames(mask: Mask, ink: Ink, most: int) -> tuple[Mask, Pieces]:
    """Takes out the walls of boxes; what touches a wall is cut off at it, and stays.

    Args:
        mask: bool (height, width), where a stroke is.
        ink: float32 (height, width).
        most: Pieces looked at.

    Returns:
        The mask without walls, and its pieces.
    """
    mask = _cleared(mask, find_pieces(ink > _FAINT, ink, most))  # walls that the mask breaks
    for _ in range(_NESTED):
        pieces = find_pieces(mask, ink, most)
        cleared = _cleared(mask, pieces)
        if cleared is mask:
            break
        mask = cleared
    else:
        pieces = find_pieces(mask, ink, most)
    return mask, pieces


def _cleared(mask: Mask, pieces: Pieces) -> Mask:
    """Takes the walls among some pieces out of a mask; returns the same if there are none."""
    found = [wall for i in range(len(pieces.boxes)) if (wall := _walls(pieces, i)) is not None]
    if not found:
        return mask
    mask = mask.copy()
    for (top, left, bottom, right), piece in found:
        mask[top:bottom, left:right] &= ~piece
    return mask


def _walls(pieces: Pieces, i: int) -> tuple[Boxes, Mask] | None:
    """Finds the walls among the pixels of a piece that stands around others.

    Returns:
        The piece's box, and what of it is wall; None if it is no frame.
    """
    boxes = pieces.boxes
    inside = (boxes[:, :2] > boxes[i, :2]).all(axis=1) & (boxes[:, 2:] < boxes[i, 2:]).all(axis=1)
    if not inside.any():
        return None
    top, left, bottom, right = boxes[i]
    piece = pieces.labels[top:bottom, left:right] == i + 1
    rooms = _rooms(piece, boxes[inside] - (top, left, top, left))
    if rooms is None:
        return None
    lines = _lines(piece, _ACROSS), _lines(piece.T, _DOWN).T
    if all(line.any() for line in lines):  # a digit that leans on two walls parts its room
        return boxes[i], piece & (lines[0] | lines[1])
    return boxes[i], piece & ~rooms


def _rooms(piece: Mask, others: Boxes) -> Mask | None:
    """Finds the rooms between walls, and what reaches into them; None if they are no boxes.

    Args:
        piece: bool (height, width), of the walls.
        others: Boxes of other pieces within it.
    """
    thick = np.pad(piece, 1)
    for axis in (0, 1):  # so that rooms do not join across the corners of a fine slanted line
        thick = thick | np.roll(thick, 1, axis) | np.roll(thick, -1, axis)
    pieces = find_pieces(~thick, np.ones(thick.shape, np.float32))
    rooms = np.zeros_like(thick)
    written_in = False
    for k, (top, left, bottom, right) in enumerate(pieces.boxes.tolist()):
        if top == 0 or left == 0 or bottom == thick.shape[0] or right == thick.shape[1]:
            continue  # around the frame
        room = pieces.labels[top:bottom, left:right] == k + 1
        room = _between(room) | _between(room.T).T
        rooms[top:bottom, left:right] |= room
        # thick's pixels are one further than the piece's, and its rooms begin one later
        within = others[
            (others[:, :2] >= (top - 2, left - 2)).all(axis=1)
            & (others[:, 2:] <= (bottom, right)).all(axis=1)
        ]
        tall = (within[:, 2] - within[:, 0] >= _TALL * (bottom - top)).any()
        written_in |= bool(tall and room.mean() >= _STRAIGHT)
    return rooms[1:-1, 1:-1] if written_in else None


def _between(room: Mask) -> Mask:
    """Says which pixels have some of a room to their left and to their right."""
    before = np.maximum.accumulate(room, axis=1)
    after = np.maximum.accumulate(room[:, ::-1], axis=1)[:, ::-1]
    between: Mask = before & after
    return between


def _lines(piece: Mask, covered: float) -> Mask:
    """Finds straight lines from the left side to the right one, turned a little perhaps.

    Args:
        piece: bool (height, width).
        covered: Share of the way that a line has ink, to within a pixel.
    """
    height, width = piece.shape
    columns = np.arange(width)
    reach = int(np.ceil(_SKEW * width / 2))
    drifts = np.rint(
        np.linspace(-_SKEW, _SKEW, 2 * reach + 1)[:, None] * (columns - width / 2)
    ).astype(np.int64)
    padded = np.pad(piece, ((reach + 1, reach + 1), (0, 0)))
    near = padded | np.roll(padded, 1, axis=0) | np.roll(padded, -1, axis=0)
    rows = np.arange(height)[:, None] + reach + 1
    lines = np.zeros_like(padded)
    shares = np.stack([near[rows + drift, columns].mean(axis=1) for drift in drifts])
    for row in np.flatnonzero(shares.max(axis=0) >= covered):
        lines[rows[row] + drifts[shares[:, row].argmax()], columns] = True
    lines = lines | np.roll(lines, 1, axis=0) | np.roll(lines, -1, axis=0)
    return lines[reach + 1 : height + reach + 1]
