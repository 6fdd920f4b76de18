"""Boxes that digits are written into, on a form or in a grid: separating walls from digits."""

import math

import numpy as np

from digitcli.data.arrays import Boxes, Ink, Mask, pixels_of, sizes, strictly_inside
from digitcli.data.preprocessing.components import Components, find_components
from digitcli.data.preprocessing.ruled_lines import line_coverage

_MIN_CONTENT = 0.25
"""Minimum height of a box's content, as a fraction of the box's height."""

_RECTANGULAR = 0.85
"""Minimum fraction of its bounding box that the inside of a box fills, even if it is turned a
little; the inside of a round 0 fills 0.79."""

_ACROSS, _DOWN = 0.8, 0.95
"""Minimum fraction of a frame's width, and of its height, that a wall covers; a 1 that fills its
box covers 0.9 of the height."""

_MAX_SLOPE = math.tan(math.radians(3))
"""Maximum slope of a frame."""

_FAINT_WALL = 0.15
"""Minimum ink of a wall, which is often fainter than the strokes."""

_MAX_NESTING = 3
"""Maximum number of frames inside each other: a page's edge, a form's table and its boxes."""


def components_without_frames(mask: Mask, ink: Ink, most: int) -> Components:
    """Removes the walls of boxes, and returns the components of the rest.

    What touches a wall is cut off there and stays.

    Args:
        mask: bool (height, width), True for strokes.
        ink: float32 (height, width).
        most: Maximum number of components.
    """
    # The mask of strokes may have gaps in faint walls.
    mask = _without_walls(mask, find_components(ink > _FAINT_WALL, ink, most))
    for _ in range(_MAX_NESTING):
        components = find_components(mask, ink, most)
        cleared = _without_walls(mask, components)
        if cleared is mask:
            return components
        mask = cleared
    return find_components(mask, ink, most)


def _without_walls(mask: Mask, components: Components) -> Mask:
    """Returns a mask without the walls among some components; the same array if there are none."""
    walls = [_find_walls(components, i) for i in range(len(components.boxes))]
    if all(wall is None for wall in walls):
        return mask
    mask = mask.copy()
    for box, wall in zip(components.boxes, walls, strict=True):
        if wall is not None:
            mask[pixels_of(box)] &= ~wall
    return mask


def _find_walls(components: Components, i: int) -> Mask | None:
    """Finds the walls among the pixels of a component, bool of the size of its box.

    Returns:
        None if the component is not a frame around others.
    """
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
    """Finds the cells between walls, with what reaches into them.

    Args:
        pixels: bool (height, width), True for walls.
        contents: Boxes of other components inside.

    Returns:
        None if no cell is rectangular and has content.
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
    """Finds straight lines from the left side to the right one, thickened by a pixel.

    Args:
        pixels: bool (height, width).
        min_cover: Minimum fraction of a line with ink, to within a pixel.
    """
    height, width = pixels.shape
    reach = int(np.ceil(_MAX_SLOPE * width / 2))
    near = _dilated(np.pad(pixels, ((1, 1), (0, 0))), 0)
    offsets, coverage = line_coverage(near, _MAX_SLOPE, reach)
    lines = np.zeros((height + 2 * reach + 2, width), dtype=bool)
    coverage = coverage[:, 1:-1]
    for row in np.flatnonzero(coverage.max(axis=0) >= min_cover):
        lines[row + reach + 1 + offsets[coverage[:, row].argmax()], np.arange(width)] = True
    return _dilated(lines, 0)[reach + 1 : height + reach + 1]
