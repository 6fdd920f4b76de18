"""What surrounds a page: the table, the edges of the sheet, dark corners, the frame of a screen.

It lies along the image's border. So do the digits of a tightly cropped row, but these are as high
as their neighbors and have strokes of the same width.
"""

import numpy as np

from digitcli.data.arrays import Boxes, Floats, Ink, Labels, Mask, gaps, pixels_of, sizes
from digitcli.data.arrays import strictly_inside
from digitcli.data.preprocessing.components import Components, stroke_width

_NEAR = 0.01  # maximum distance from the border of what touches it, of the image's shorter side
_ALONG = 0.03  # the same of what lies along the border, which may be slanted
_CONTACT = 0.4  # minimum fraction of a component's side that lies along the border
# Lengths are fractions of a typical digit's height.
_LONG, _LINE = 2.5, 0.5  # minimum length of what is not a digit, and maximum height of a line
_THICK = 2.0  # minimum stroke width of what is not a digit, as a multiple of the others'
_BESIDE, _LEVEL = 1.0, 0.6  # maximum gap in a tight row, and minimum overlap of the heights
_BAND = 0.2  # depth of the band along the border, as a fraction of the image's side
_COVERED = 0.5  # minimum fraction of a component between the border and what surrounds the page


def find_surroundings(components: Components, ink: Ink, usable: Mask, height: float) -> Mask:
    """Returns True for components that surround the page, bool (count,).

    Args:
        components: The components of ink.
        ink: Of the image.
        usable: True for components that are not dust.
        height: Height of a typical component that touches no border, in pixels.
    """
    boxes = components.boxes
    contact = border_contact(components)
    touches = (contact > 0).any(axis=1)
    others = usable & ~touches
    found = np.zeros(len(boxes), dtype=bool)
    if not (usable & touches).any() or not others.any():
        return found
    width = stroke_width(ink * np.isin(components.labels, np.flatnonzero(others) + 1))
    for i in np.flatnonzero(touches & usable):
        place = pixels_of(boxes[i])
        across, down = sizes(boxes)[i]
        if (
            down > _LONG * height
            or (across > _LONG * height and down < _LINE * height)
            or strictly_inside(boxes[others], boxes[i]).sum() > 1
        ):
            found[i] = True
        elif contact[i].max() >= _CONTACT:
            alone = np.where(components.labels[place] == i + 1, ink[place], 0)
            found[i] = stroke_width(alone) > _THICK * width or not _is_beside(
                boxes[others], boxes[i], height
            )
    if found.any():
        found |= _surrounded(components.labels, found)
    return found


def border_contact(components: Components) -> Floats:
    """Returns the fraction of each side of the components' boxes at the border, (count, 4)."""
    labels, boxes = components.labels, components.boxes
    height, width = labels.shape
    near, along = (max(1, round(part * min(labels.shape))) for part in (_NEAR, _ALONG))
    contact = np.zeros((len(boxes), 4))
    room = np.stack([*boxes[:, :2].T, width - boxes[:, 2], height - boxes[:, 3]], axis=1)
    edges = labels[:, :along].T, labels[:along], labels[:, -along:].T, labels[-along:]
    for i, side in np.argwhere(room < near).tolist():
        length = sizes(boxes)[i, 1 - side % 2]
        contact[i, side] = (edges[side] == i + 1).any(axis=0).sum() / length
    return contact


def _is_beside(others: Boxes, box: Boxes, height: float) -> bool:
    """Returns True if a box stands in a row with one of the others, at their height."""
    across, down = gaps(others, box).T
    taller = np.maximum(sizes(others)[:, 1], box[3] - box[1])
    return bool(((across <= _BESIDE * height) & (-down >= _LEVEL * taller)).any())


def _surrounded(labels: Labels, found: Mask) -> Mask:
    """Returns True for components between the border and what was found along it."""
    walls = np.isin(labels, np.flatnonzero(found) + 1)
    covered = np.zeros_like(walls)
    for part, area in ((walls, covered), (walls.T, covered.T)):
        band = round(_BAND * len(part))
        for direction in (1, -1):
            at_border = part[::direction][:band]
            beyond = np.maximum.accumulate(at_border[::-1], axis=0)[::-1]
            area[::direction][:band] |= beyond
    total = np.bincount(labels.ravel(), minlength=len(found) + 1)
    inside = np.bincount(labels[covered], minlength=len(total))
    return (inside >= _COVERED * total)[1 : len(found) + 1]
