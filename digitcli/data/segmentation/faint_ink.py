"""Faint ink beside dark ink: a digit in a lighter color or with less pressure."""

import numpy as np

from digitcli.data.arrays import Boxes, Ink, Mask, gaps, pixels_of, sizes
from digitcli.data.preprocessing.components import find_components, stroke_width
from digitcli.data.segmentation.surroundings import dilated

_LEVEL = 0.06  # minimum ink of a faint pixel
# Minimum median ink of a faint stroke, and maximum ink as a multiple of it: shadows are uneven.
_MEDIAN, _UNEVEN = 0.12, 1.9
_BORDER = 0.02  # minimum distance from the border, as a fraction of the image's shorter side
_MOST = 50  # maximum number of faint components
# Lengths are fractions of a typical digit's height.
_MIN_HEIGHT, _MAX_HEIGHT = 0.6, 1.6
_BESIDE, _ALIGNED = 2.0, 0.6  # maximum gap to a neighbor in a row, minimum overlap of the heights
_APART = 0.03  # minimum distance from dark ink: halos are nearer
_OVERLAP = 0.3  # maximum overlap with dark ink, as a fraction of the width
_MIN_STROKE, _MAX_STROKE = 0.4, 2.0  # stroke width, as a multiple of that of dark ink
_MAX_FILL = 0.6  # maximum fraction of its box that a digit wider than a 1 fills


def strengthen_faint_digits(
    ink: Ink, around: Mask, boxes: Boxes, height: float, width: float
) -> tuple[Ink, Mask] | None:
    """Makes faint shapes that stand in a row with dark ones as dark as these.

    Args:
        ink: Of the image.
        around: The dark strokes with their soft edges.
        boxes: int64 (count, 4), of the dark components that could be digits.
        height: Height of a typical digit in pixels.
        width: Width of the dark strokes in pixels.

    Returns:
        The ink and the mask of these shapes; None without such shapes, as nearly always.
    """
    weak = (ink > _LEVEL) & ~around
    if weak.sum() < _MIN_HEIGHT * height * _MIN_STROKE * width:
        return None
    faint = find_components(weak, ink, _MOST)
    halo = dilated(around, max(1, round(_APART * height)))
    found = np.zeros_like(weak)
    stronger = ink
    for i, box in enumerate(faint.boxes):
        across, down = sizes(faint.boxes)[i]
        if not _MIN_HEIGHT * height <= down <= _MAX_HEIGHT * height or across > 1.5 * down:
            continue
        if not _is_aligned(boxes, box, height) or _at_border(box, ink.shape):
            continue
        place = pixels_of(box)
        pixels = faint.labels[place] == i + 1
        if (pixels & halo[place]).any():
            continue
        own = ink[place] * pixels
        level = float(np.median(own[pixels]))
        if level < _MEDIAN or own.max() > _UNEVEN * level:
            continue
        own = np.clip(own / level, 0, 1)
        if not _MIN_STROKE * width <= stroke_width(own) <= _MAX_STROKE * width:
            continue
        if across > 2.5 * width and pixels.mean() > _MAX_FILL:
            continue
        if not found.any():
            stronger = ink.copy()
        stronger[place] = np.where(pixels, own, stronger[place])
        found[place] |= pixels
    return (stronger, found) if found.any() else None


def _is_aligned(boxes: Boxes, box: Boxes, height: float) -> bool:
    """Returns True if a box stands in a row with one of others, and does not overlap one."""
    across, down = gaps(boxes, box).T
    if ((-across > _OVERLAP * (box[2] - box[0])) & (down < 0)).any():
        return False
    lower = np.minimum(sizes(boxes)[:, 1], box[3] - box[1])
    return bool(((across <= _BESIDE * height) & (-down >= _ALIGNED * lower)).any())


def _at_border(box: Boxes, shape: tuple[int, ...]) -> bool:
    """Returns True if a box is at the border of an image of a shape."""
    margin = _BORDER * min(shape)
    return bool(min(*box[:2], shape[1] - box[2], shape[0] - box[3]) < margin)
