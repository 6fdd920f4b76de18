"""Oversegmentation: the components of ink that digits are made of."""

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import BlankPictureError, PictureError
from digitcli.data.arrays import Floats, Gray, Labels, Mask, pixels_of, sizes, union
from digitcli.data.preprocessing.binarize import inner_image, separate_ink, stroke_mask
from digitcli.data.preprocessing.components import stroke_width
from digitcli.data.preprocessing.mnist_form import in_mnist_form
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines
from digitcli.data.segmentation.form_boxes import components_without_frames
from digitcli.data.segmentation.segments import Segments, Writing
from digitcli.data.segmentation.text_lines import find_rows, join_stacked

# Side of the closing's window, as a fraction of that of a square with the image's area; a strip is
# not much higher than its strokes are wide.
_WINDOW = 0.35
_MAX_COMPONENTS = 1000  # maximum number without dust; a page of 200 digits has some hundreds
_DUST_MASS = 0.02  # maximum mass of dust, as a fraction of a typical component's
_SOFT_EDGE = 0.05  # maximum width of a stroke's soft edge, as a fraction of a digit's height


def oversegment(gray: Gray) -> Segments:
    """Finds the components of ink that digits are made of.

    Raises:
        BlankPictureError: There is no ink in the image.
        PictureError: There are too many components.
    """
    whole = in_mnist_form(gray)
    origin = (0, 0)
    if whole is None:
        inner = inner_image(gray)
        origin = (inner.left, inner.top)
        gray = gray[pixels_of(inner)]
        window = _WINDOW * float(np.sqrt(gray.size)) / min(gray.shape)
        ink = remove_ruled_lines(separate_ink(gray, window))
    else:
        ink = whole.astype(np.float32) / np.float32(255)
    mask = stroke_mask(ink)
    if not mask.any():
        raise BlankPictureError
    # The heaviest ones, and one more to tell if there are too many.
    components = components_without_frames(mask, ink, _MAX_COMPONENTS + 1)
    boxes, mass = components.boxes, components.mass
    if not len(boxes):
        raise BlankPictureError
    usable = mass >= _DUST_MASS * _weighted_median(mass, mass)
    if usable.sum() > _MAX_COMPONENTS:
        raise PictureError(
            f"it has more than {_MAX_COMPONENTS:,} separate shapes", "split it into several images"
        )
    height = _weighted_median(sizes(boxes)[:, 1], mass * usable)
    kept = np.flatnonzero(usable)
    stack = join_stacked(boxes[kept], height)
    names = np.zeros(int(components.labels.max()) + 1, np.int32)
    names[kept + 1] = stack + 1
    labels = names[components.labels]
    width = stroke_width(ink * (labels > 0))
    labels = _with_soft_edges(labels, (ink > 0) & ~mask, max(2, round(_SOFT_EDGE * height)))
    boxes = np.array([union(boxes[kept][stack == i]) for i in range(stack.max() + 1)])
    rows, columns = find_rows(boxes, height), boxes[:, ::2].mean(axis=1)
    parts = np.stack([rows, np.full(len(boxes), np.nan), columns], axis=1)
    return Segments.in_reading_order(Writing(ink, height, width, origin, whole), labels, parts)


def _weighted_median(values: npt.NDArray[np.number], weights: Floats) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(sums, sums[-1] / 2)]])


def _with_soft_edges(labels: Labels, free: Mask, reach: int) -> Labels:
    """Adds free pixels to the nearest component within reach: the soft edges of its strokes."""
    padded = np.pad(labels, 1)
    rows, columns = np.nonzero(np.pad(free, 1))
    steps = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
    for _ in range(reach):
        nearest = np.zeros(len(rows), labels.dtype)
        for down, right in steps:
            nearest = np.where(nearest, nearest, padded[rows + down, columns + right])
        padded[rows, columns] = nearest
        left = nearest == 0
        rows, columns = rows[left], columns[left]
    return padded[1:-1, 1:-1]
