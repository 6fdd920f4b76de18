"""What surrounds writing: the table, the edges of a sheet, dark corners, the frame of a screen.

It lies along the image's border. So do the digits of a tightly cropped row, but these are as high
as their neighbors and have strokes of the same width.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import (
    Boxes,
    Floats,
    Ink,
    Labels,
    Mask,
    gaps,
    pixels_of,
    sizes,
    strictly_inside,
)
from digitcli.data.preprocessing.binarize import otsu, stroke_mask
from digitcli.data.preprocessing.components import Components, stroke_width
from digitcli.data.segmentation.form_boxes import components_without_frames

_DUST_MASS = 0.02  # maximum mass of dust, as a fraction of a typical component's
_EDGE = 3  # pixels around what surrounds the writing that are cleared with it
# Lengths along the border are fractions of the image's shorter side.
_NEAR = 0.01  # maximum distance from the border of what touches it
_ALONG = 0.03  # the same of what lies along the border, which may be slanted
_LONE = 0.08  # the same of a line parallel to the border that is beside no digit
_CONTACT = 0.4  # minimum fraction of a component's side that lies along the border
_FLAT = 0.8  # maximum contact of what could be a digit that the border cuts
_BAND = 0.2  # depth of the band along the border, as a fraction of the image's side
_COVERED = 0.5  # minimum fraction of a component between the border and what lies along it
# Lengths are fractions of a typical digit's height.
_LONG, _LINE = 2.5, 0.5  # minimum length of what is not a digit, and maximum height of a line
_BESIDE, _LEVEL = 1.1, 0.6  # maximum gap in a tight row, and minimum overlap of the heights
_ROOM = 3.0  # maximum gap in a row, for a line near the border
_DIGIT = (0.5, 2.0)  # range of the height and mass of what could be a digit
_THICK = 2.0  # minimum stroke width of what is not a digit, as a multiple of the others'
_SLENDER = 6.0  # minimum ratio of height and width of a line
# Minimum height and mass of what a frame encloses, as fractions of the frame's.
_FRAMED_HEIGHT, _FRAMED_MASS = 0.1, 0.05
_MAX_FILL = 0.12  # maximum fraction of its box that a frame fills


@dataclass(frozen=True)
class Cleared:
    """Ink without what surrounds the writing."""

    ink: Ink
    mask: Mask  # of strokes
    components: Components
    usable: Mask  # components that are not dust, bool (count,)
    left_out: int = 0  # number of cleared components that could be digits


def clear_surroundings(ink: Ink, most: int, *, bordered: bool = False) -> Cleared:
    """Clears what surrounds the writing, and returns the components of the rest.

    Args:
        ink: Of the image.
        most: Maximum number of components.
        bordered: What lies along the border is writing, too, and stays.

    Raises:
        BlankPictureError: There is no ink in the image.
    """
    left_out = 0
    while True:
        mask = stroke_mask(ink)
        components = components_without_frames(mask, ink, most)
        mass, heights = components.mass, sizes(components.boxes)[:, 1]
        if not len(mass):
            raise BlankPictureError
        found = _are_frames(components)
        contact = _border_contact(components)
        apart = ~found & (contact == 0).all(axis=1)
        weight = mass * apart if apart.any() else mass
        usable = mass >= _DUST_MASS * weighted_median(mass, weight)
        if apart.any() and not bordered:
            height = weighted_median(heights, weight * usable)
            found |= _are_surroundings(components, ink, usable, contact, height)
            found |= apart & _are_lone_lines(components, usable, height)
            usual = heights / height, mass / weighted_median(mass, weight)
            is_digit = [(_DIGIT[0] <= part) & (part <= _DIGIT[1]) for part in usual]
            is_cut = contact.max(axis=1) < _FLAT
            left_out += int((found & is_digit[0] & is_digit[1] & is_cut).sum())
        if not found.any():
            return Cleared(ink, mask, components, usable, left_out)
        if found[usable].all():
            raise BlankPictureError
        ink = _rescaled(ink, np.isin(components.labels, np.flatnonzero(found) + 1))


def _are_frames(components: Components) -> Mask:
    """Returns True for components around others, bool (count,)."""
    boxes, mass = components.boxes, components.mass
    height = sizes(boxes)[:, 1]
    thin = mass <= _MAX_FILL * sizes(boxes).prod(axis=1)
    found = np.zeros(len(boxes), dtype=bool)
    for i in np.flatnonzero(thin):
        tall = (height >= _FRAMED_HEIGHT * height[i]) & (mass >= _FRAMED_MASS * mass[i])
        found[i] = (tall & strictly_inside(boxes, boxes[i])).any()
    return found


def _are_surroundings(
    components: Components, ink: Ink, usable: Mask, contact: Floats, height: float
) -> Mask:
    """Returns True for components at the border that are not digits, bool (count,)."""
    boxes, labels = components.boxes, components.labels
    touches = (contact > 0).any(axis=1)
    others = usable & ~touches
    width = stroke_width(ink * np.isin(labels, np.flatnonzero(others) + 1))
    found = np.zeros(len(boxes), dtype=bool)
    for i in np.flatnonzero(touches & usable):
        place = pixels_of(boxes[i])
        across, down = sizes(boxes)[i]
        if down > _LONG * height or (across > _LONG * height and down < _LINE * height):
            found[i] = True
        elif contact[i].max() >= _CONTACT:
            own = np.where(labels[place] == i + 1, ink[place], 0)
            found[i] = stroke_width(own) > _THICK * width or not _is_beside(
                boxes[others], boxes[i], _BESIDE * height
            )
    return found | _are_beyond(labels, found) if found.any() else found


def _are_lone_lines(components: Components, usable: Mask, height: float) -> Mask:
    """Returns True for lines near the border, parallel to it and beside no digit, bool (count,)."""
    boxes = components.boxes
    rows, columns = components.labels.shape
    near = _LONE * min(rows, columns)
    across, down = sizes(boxes).T
    sides = np.minimum(boxes[:, 0], columns - boxes[:, 2]) <= near
    ends = np.minimum(boxes[:, 1], rows - boxes[:, 3]) <= near
    lines = sides & (down > _SLENDER * across) | ends & (across > _SLENDER * down)
    found = lines & usable
    for i in np.flatnonzero(found):
        others = boxes[usable & ~lines]
        found[i] = not len(others) or not _is_beside(others, boxes[i], _ROOM * height)
    return found & (usable & ~lines).any()


def _border_contact(components: Components) -> Floats:
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


def _is_beside(others: Boxes, box: Boxes, reach: float) -> bool:
    """Returns True if a box stands in a row with one of the others, at their height."""
    across, down = gaps(others, box).T
    taller = np.maximum(sizes(others)[:, 1], box[3] - box[1])
    return bool(((across <= reach) & (-down >= _LEVEL * taller)).any())


def _are_beyond(labels: Labels, found: Mask) -> Mask:
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


def _rescaled(ink: Ink, cleared: Mask) -> Ink:
    """Clears pixels; the darkest strokes of the rest become full ink."""
    rest = np.where(dilated(cleared, _EDGE), 0, ink)
    strokes = rest[rest > otsu(rest)]
    return np.clip(rest / max(float(np.median(strokes)) if strokes.size else 1, 1e-3), 0, 1)


def dilated(mask: Mask, reach: int) -> Mask:
    """Returns True for pixels in a square of side 2 * reach + 1 around those of a mask."""
    for _ in range(2):
        sums = np.cumsum(np.pad(mask, ((reach + 1, reach), (0, 0))), axis=0, dtype=np.int32)
        mask = (sums[2 * reach + 1 :] > sums[: -2 * reach - 1]).T
    return mask


def weighted_median(values: npt.NDArray[np.number], weights: Floats) -> float:
    """Returns the value with half of the total weight below."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(sums, sums[-1] / 2)]])
