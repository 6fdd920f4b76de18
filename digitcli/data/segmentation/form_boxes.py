"""Boxes that digits are written into, on a form or in a grid: separating walls from digits."""

import math

import numpy as np

from digitcli.data.arrays import Boxes, Ink, Mask, pixels_of, sizes, strictly_inside
from digitcli.data.preprocessing.components import Components, find_components
from digitcli.data.preprocessing.ruled_lines import line_coverage

_MIN_CONTENT = 0.25  # minimum height of a box's content, as a fraction of the box's
# Minimum fraction of its bounding box that the inside of a box fills, even if turned a little; the
# inside of a round 0 fills 0.79.
_RECTANGULAR = 0.85
# Minimum fraction of a frame's width, and of its height, that a wall covers; a 1 that fills its box
# covers 0.9 of the height.
_ACROSS, _DOWN = 0.8, 0.95
_MAX_SLOPE = math.tan(math.radians(3))
_FAINT_WALL = 0.15  # minimum ink of a wall, often fainter than strokes
_MAX_NESTING = 3  # frames inside each other: a page's edge, a form's table and its boxes


def components_without_frames(mask: Mask, ink: Ink, most: int) -> Components:
    """Removes the walls of boxes, and returns the components of the rest.

    What touches a wall is cut off there and stays. Unlike ``find_digit``, which leaves out whole
    frames, this takes them apart; ``most`` is the maximum number of components.
    """
    mask = mask.copy()
    # The mask of strokes may have gaps in faint walls.
    _clear_walls(mask, find_components(ink > _FAINT_WALL, ink, most))
    for _ in range(_MAX_NESTING):
        components = find_components(mask, ink, most)
        if not _clear_walls(mask, components):
            return components
    return find_components(mask, ink, most)


def _clear_walls(mask: Mask, components: Components) -> bool:
    """Clears the walls among some components from a mask; returns True if there were any."""
    found = False
    for i, box in enumerate(components.boxes):
        if (walls := _find_walls(components, i)) is not None:
            mask[pixels_of(box)] &= ~walls
            found = True
    return found


def _find_walls(components: Components, i: int) -> Mask | None:
    """Returns the pixels of walls in a component's box; None if it is not a frame around others."""
    boxes = components.boxes
    inside = strictly_inside(boxes, boxes[i])
    if not inside.any():
        return None
    pixels = components.labels[pixels_of(boxes[i])] == i + 1
    cells = _find_cells(pixels, boxes[inside] - np.tile(boxes[i, :2], 2))
    if cells is None:
        return None
    lines = _find_lines(pixels, _ACROSS), _find_lines(pixels.T, _DOWN).T
    if all(line.any() for line in lines):  # a digit that leans on two walls splits its cell
        return pixels & (lines[0] | lines[1])
    return pixels & ~cells


def _find_cells(pixels: Mask, contents: Boxes) -> Mask | None:
    """Finds the cells between the pixels of walls, with what reaches into them.

    Returns:
        None if no cell is rectangular and holds a tall box of ``contents``.
    """
    # Thicker walls, or cells would join across the corners of a fine slanted line.
    thick = _dilated(_dilated(np.pad(pixels, 1), 0), 1)
    (height, width), found = thick.shape, find_components(~thick, np.ones(thick.shape, np.float32))
    cells = np.zeros_like(thick)
    any_content = False
    for k, box in enumerate(found.boxes):
        left, top, right, bottom = box
        if left == 0 or top == 0 or right == width or bottom == height:
            continue  # around the frame
        cell = found.labels[pixels_of(box)] == k + 1
        cell = _between(cell) | _between(cell.T).T
        cells[pixels_of(box)] |= cell
        # ``thick`` is padded by one pixel, and its cells begin one pixel later.
        within = contents[
            (contents[:, :2] >= box[:2] - 2).all(axis=1) & (contents[:, 2:] <= box[2:]).all(axis=1)
        ]
        tall = (sizes(within)[:, 1] >= _MIN_CONTENT * (bottom - top)).any()
        any_content |= bool(tall and cell.mean() >= _RECTANGULAR)
    return cells[1:-1, 1:-1] if any_content else None


def _between(cell: Mask) -> Mask:
    """Returns True for pixels with some of a cell to their left and to their right."""
    before = np.maximum.accumulate(cell, axis=1)
    after = np.maximum.accumulate(cell[:, ::-1], axis=1)[:, ::-1]
    return before & after


def _dilated(mask: Mask, axis: int) -> Mask:
    """Adds the neighbors along an axis to a mask; its first and last pixels there are False."""
    return mask | np.roll(mask, 1, axis) | np.roll(mask, -1, axis)


def _find_lines(pixels: Mask, min_cover: float) -> Mask:
    """Returns straight lines across, 3 pixels thick, with ink over a fraction of their length."""
    height, width = pixels.shape
    reach = int(np.ceil(_MAX_SLOPE * width / 2))
    near = _dilated(np.pad(pixels, ((1, 1), (0, 0))), 0)
    offsets, coverage = line_coverage(near, _MAX_SLOPE, reach)
    coverage = coverage[:, 1:-1]  # of lines whose center is in the box
    lines = np.zeros((height + 2 * reach + 2, width), dtype=bool)
    for row in np.flatnonzero(coverage.max(axis=0) >= min_cover):
        lines[row + reach + 1 + offsets[coverage[:, row].argmax()], np.arange(width)] = True
    return _dilated(lines, 0)[reach + 1 : height + reach + 1]
