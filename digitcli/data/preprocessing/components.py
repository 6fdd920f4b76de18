"""Connected components of ink: which of them are the digit, and which are not."""

from dataclasses import dataclass

import numpy as np

from digitcli.data.arrays import (
    Box,
    Boxes,
    Floats,
    Ink,
    Labels,
    Mask,
    distances,
    longer_side,
    pixels_of,
    sizes,
    strictly_inside,
    union,
)

_MAX_COMPONENTS = 150  # number of the heaviest; a dotted digit has dozens, grain has thousands
_REACH = 0.15  # maximum gap in a shape (the bar of a 5), as a fraction of the larger one's side
_STROKE_REACH = 2.5  # the same in stroke widths, for dotted lines
_DUST_MASS = 0.04  # maximum mass of dust, as a fraction of the heaviest component's
# Minimum mass and longer side of another digit, as fractions of the digit's.
DIGIT_MASS, DIGIT_SIDE = 0.2, 0.4
# Weight of a shape by the number of image borders that it touches: a neighbor's stroke touches one,
# the table beneath the paper more.
_BORDER_WEIGHTS = (1.0, 0.3, 0.03, 0.003, 0.003)
# Minimum height and mass of what a frame encloses, as fractions of the frame's: a 0 around a dot is
# not a frame.
_FRAMED_HEIGHT, _FRAMED_MASS = 0.25, 0.05
# Depth of a frame's side, as a fraction of its box, and minimum fraction of the box's edge that the
# side covers; the top of a round 0 covers half.
_SIDE_DEPTH, _SIDE_COVER = 0.12, 0.8


@dataclass(frozen=True)
class Components:
    """Connected components of ink, heaviest first."""

    labels: Labels
    boxes: Boxes
    mass: Floats  # (count,), sum of each component's ink

    def ink_of(self, index: int, ink: Ink) -> Ink:
        """Returns a component's ink, cropped to its box."""
        place = pixels_of(self.boxes[index])
        return np.where(self.labels[place] == index + 1, ink[place], np.float32(0))


def find_digit(ink: Ink, mask: Mask) -> tuple[Mask, int, float]:
    """Finds the shape that is the digit: the heaviest one.

    Components near each other make a shape. A shape at the image's border, such as a neighbor's
    stroke, weighs less. Frames around other ink are left out, and so is dust within the digit.

    Args:
        ink: Of the image.
        mask: The pixels of strokes, at least one.

    Returns:
        The pixels of the digit, the number of other whole shapes as large as a digit, and the
        digit's fraction of all ink but frames.
    """
    components = find_components(mask, ink)
    boxes, mass = components.boxes, components.mass
    usable = [i for i in range(len(boxes)) if not _is_frame(components, i)]
    shapes = _shapes(boxes, usable, stroke_width(ink * mask))

    def weight(shape: list[int]) -> float:
        return float(mass[shape].sum()) * _BORDER_WEIGHTS[_borders(union(boxes[shape]), mask)]

    shapes.sort(key=weight, reverse=True)
    digit = [i for i in shapes[0] if mass[i] >= _DUST_MASS * mass[shapes[0]].max()]
    total, side = mass[digit].sum(), longer_side(union(boxes[digit]))
    others = sum(
        bool(
            not _borders(union(boxes[shape]), mask)  # cut off: a neighbor's
            and mass[shape].sum() >= DIGIT_MASS * total
            and longer_side(union(boxes[shape])) >= DIGIT_SIDE * side
        )
        for shape in shapes[1:]
    )
    return (
        np.isin(components.labels, np.array(digit) + 1),
        others,
        float(total / mass[usable].sum()),
    )


def stroke_width(ink: Ink) -> float:
    """Returns the estimated width of strokes in pixels, 0 without ink.

    The area of a stroke much longer than wide is length times width, its outline twice the length;
    gray edges count by their fraction.
    """
    padded = np.pad(ink, 1)
    down = padded[1:, :-1] - padded[:-1, :-1]
    right = padded[:-1, 1:] - padded[:-1, :-1]
    outline = float(np.sqrt(down * down + right * right).sum())
    return 2 * float(ink.sum()) / outline if outline else 0.0


def find_components(mask: Mask, ink: Ink, most: int = _MAX_COMPONENTS) -> Components:
    """Labels connected pixels, diagonals included, run by run with union-find.

    ``scipy.ndimage.label`` does the same, but takes longer to import (0.27 s) than everything else
    that reading an image needs.

    The ``most`` heaviest have a box and a mass; ``labels`` has them all.
    """
    height, width = mask.shape
    framed = np.zeros((height, width + 2), dtype=np.int8)
    framed[:, 1:-1] = mask
    change = np.diff(framed, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    roots, component_of = np.unique(_connected_runs(rows, starts, ends), return_inverse=True)

    sums = np.zeros((height, width + 1))
    np.cumsum(ink, axis=1, out=sums[:, 1:])
    ink_of_runs = sums[rows, ends] - sums[rows, starts]
    mass = np.bincount(component_of, ink_of_runs, len(roots)).astype(np.float64)
    boxes = np.empty((len(roots), 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = max(height, width), 0
    for side, (first, end) in enumerate(((starts, ends), (rows, rows + 1))):
        np.minimum.at(boxes[:, side], component_of, first)
        np.maximum.at(boxes[:, side + 2], component_of, end)
    order = np.argsort(-mass, kind="stable")
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    labels = np.zeros(mask.shape, dtype=np.int32)
    labels[mask] = np.repeat(rank[component_of] + 1, ends - starts)
    return Components(labels, boxes[order][:most], mass[order][:most])


def _connected_runs(rows: Boxes, starts: Boxes, ends: Boxes) -> list[int]:
    """Returns for each run of pixels the number of a run that represents its component.

    Runs are in reading order: int64 (runs,) with the row and the columns of each.
    """
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
    return [root(run) for run in range(len(parents))]


def _is_frame(components: Components, i: int) -> bool:
    """Returns True if a component has four straight sides and ink inside.

    Unlike ``segmentation.form_boxes``, which removes walls and keeps what touches them, this
    judges whole components: a digit that touches its frame counts as one with it.
    """
    boxes, mass = components.boxes, components.mass
    inside = strictly_inside(boxes, boxes[i])
    if not inside.any():
        return False
    heights = sizes(boxes)[:, 1]
    tall, heavy = heights >= _FRAMED_HEIGHT * heights[i], mass >= _FRAMED_MASS * mass[i]
    if not (inside & tall & heavy).any():
        return False
    pixels = components.labels[pixels_of(boxes[i])] == i + 1
    depth, across = (max(1, round(_SIDE_DEPTH * side)) for side in pixels.shape)
    sides = (pixels[:depth], pixels[-depth:], pixels[:, :across].T, pixels[:, -across:].T)
    return all(side.any(axis=0).mean() >= _SIDE_COVER for side in sides)


def _shapes(boxes: Boxes, usable: list[int], width: float) -> list[list[int]]:
    """Groups components that are near each other; ``width`` is the stroke width in pixels."""
    left = usable.copy()
    shapes = []
    sides = sizes(boxes).max(axis=1)
    while left:
        shape, edge = [], [left.pop(0)]
        while edge:
            i = edge.pop()
            shape.append(i)
            reach = np.maximum(_STROKE_REACH * width, _REACH * np.maximum(sides[i], sides[left]))
            is_near = distances(boxes[left], boxes[i]) <= reach
            edge += [other for other, near in zip(left, is_near, strict=True) if near]
            left = [other for other, near in zip(left, is_near, strict=True) if not near]
        shapes.append(shape)
    return shapes


def _borders(box: Box, mask: Mask) -> int:
    """Returns the number of image borders that a box touches, to within 1 %."""
    (height, width), near = mask.shape, min(mask.shape) // 100
    starts, ends = (box.left, box.top), (width - box.right, height - box.bottom)
    return sum(distance <= near for distance in (*starts, *ends))
