"""Ink of an image of several digits that is not read, but could be digits.

Segmentation leaves out what is small, light or faint beside the other ink: dust, dots, shadows. The
network shows which of these shapes look like digits.
"""

from collections.abc import Sequence

import numpy as np

from digitcli.data.arrays import Boxes, Classify, Mask, gaps, sizes
from digitcli.data.preprocessing.components import find_components, stroke_width
from digitcli.data.preprocessing.mnist_form import BAR, to_mnist_form
from digitcli.data.segmentation.segments import Segments
from digitcli.data.segmentation.surroundings import dilated

# Minimum ink of a faint pixel, and minimum median of a shape's ink. Measured: shadows of paper
# that look like digits have up to 0.16.
_LEVEL, _MEDIAN = 0.1, 0.2
_MIN_PROBABILITY = 0.9
_MIN_PIXELS = 10  # minimum height of a digit in pixels
_MOST = 50  # maximum number of components that are looked at, the heaviest
# Stroke width, as a multiple of that of the segments; the minimum is that of digits as high.
_MIN_STROKE, _MAX_STROKE = 0.3, 2.0
_SEVERAL = 2  # minimum number of shapes lower than _LOW that are not dust
# Lengths are fractions of the typical height of the digits that are read.
_APART = 0.03  # minimum distance from ink that is read: halos are nearer
_MAX_HEIGHT, _LOW = 1.6, 0.4
_MIN_BAR, _ALIGNED = 0.6, 0.6  # minimum height of a bar, and its minimum overlap with a digit


def count_unread(segments: Segments, digits: Sequence[tuple[int, int]], classify: Classify) -> int:
    """Returns the number of shapes that are not read and could be digits.

    Args:
        segments: All segments.
        digits: First segment of each digit that is read, and the one after its last.
        classify: The network.
    """
    if not digits:
        return 0
    ink, boxes = segments.writing.ink, np.array([segments.box(*digit) for digit in digits])
    read = np.zeros(len(segments), dtype=bool)
    for first, end in digits:
        read[first:end] = True
    height = float(np.median(sizes(boxes)[:, 1]))
    is_read: Mask = np.append(False, read)[segments.labels]
    weak = (ink > _LEVEL) & ~is_read
    if np.count_nonzero(weak) < _MIN_PIXELS:
        return 0
    weak &= ~dilated(is_read, max(1, round(_APART * height)))
    components = find_components(weak, ink, _MOST)
    heights, images = [], []
    for i, box in enumerate(components.boxes):
        if not _is_possible(box, boxes, height):
            continue
        own = components.ink_of(i, ink)
        median = np.median(own[own > 0])
        own = np.clip(own / median, 0, 1)
        ratio = stroke_width(own) / segments.writing.stroke_width
        least = _MIN_STROKE * min(1.0, (box[3] - box[1]) / height)
        if median >= _MEDIAN and least <= ratio <= _MAX_STROKE:
            heights.append(box[3] - box[1])
            images.append(to_mnist_form(own))
    if not images:
        return 0
    found = classify(np.stack(images)).max(axis=1) >= _MIN_PROBABILITY
    low = int((found & (np.array(heights) < _LOW * height)).sum())
    return int(found.sum()) - (low if low < _SEVERAL else 0)


def _is_possible(box: Boxes, boxes: Boxes, height: float) -> bool:
    """Returns True for a box of a digit's shape; a bar stands in a row with others."""
    across, down = box[2:] - box[:2]
    if not _MIN_PIXELS <= down <= _MAX_HEIGHT * height or across > 1.5 * down:
        return False
    if across >= BAR * down:
        return True
    overlap = -gaps(boxes, box)[:, 1] >= _ALIGNED * np.minimum(sizes(boxes)[:, 1], down)
    return bool(down >= _MIN_BAR * height and overlap.any())
