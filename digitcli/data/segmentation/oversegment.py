"""Taking a picture of several digits apart: which pieces of ink could be of a digit."""

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import BlankPictureError, PictureError
from digitcli.data.arrays import Floats, Gray, Labels, Mask
from digitcli.data.preprocessing.binarize import inner_picture, separate_ink, stroke_mask
from digitcli.data.preprocessing.components import stroke_width
from digitcli.data.preprocessing.mnist_form import in_mnist_form
from digitcli.data.preprocessing.ruled_lines import remove_ruling
from digitcli.data.segmentation.form_boxes import without_frames
from digitcli.data.segmentation.segments import Page, Sheet
from digitcli.data.segmentation.text_lines import rows_of, stacks

_WINDOW = 0.35
"""Side of the window that bridges strokes, as a share of that of a square as large as the picture;
a strip is not much higher than its strokes are wide."""

_PIECES = 1000
"""Pieces that a page has at most, without dust; one of two hundred digits has some hundreds."""

_DUST = 0.02
"""Mass, as a share of the typical piece's, under which a piece is dust."""

_SOFT = 0.05
"""Width of a stroke's soft edges at most, as a share of a digit's height."""


def find_parts(grey: Gray) -> Page:
    """Finds the pieces of ink that digits are made of.

    Args:
        grey: float32 (height, width) in 0..1.

    Raises:
        BlankPictureError: There is no ink on it.
        PictureError: There are too many pieces: a string with gaps would help nobody.
    """
    whole = in_mnist_form(grey)
    corner = (0, 0)
    if whole is None:
        rows, columns = inner_picture(grey)
        corner = (rows.start, columns.start)
        grey = grey[rows, columns]
        window = _WINDOW * float(np.sqrt(grey.size)) / min(grey.shape)
        ink = remove_ruling(separate_ink(grey, window))
    else:
        ink = whole.astype(np.float32) / np.float32(255)
    mask = stroke_mask(ink)
    if not mask.any():
        raise BlankPictureError
    _, pieces = without_frames(mask, ink, _PIECES + 1)  # the heaviest: one more tells of others
    boxes, mass = pieces.boxes, pieces.mass
    if not len(boxes):
        raise BlankPictureError
    usable = mass >= _DUST * _typical(mass, mass)
    if usable.sum() > _PIECES:
        raise PictureError(
            f"it has more than {_PIECES:,} separate shapes", "cut it into several pictures"
        )
    height = _typical(boxes[:, 2] - boxes[:, 0], mass * usable)
    kept = np.flatnonzero(usable)
    stack = stacks(boxes[kept], height)
    names = np.zeros(int(pieces.labels.max()) + 1, np.int32)
    names[kept + 1] = stack + 1
    labels = names[pieces.labels]
    pen = stroke_width(ink * (labels > 0))
    labels = _grown(labels, (ink > 0) & ~mask, max(2, round(_SOFT * height)))
    boxes = np.stack(
        [
            np.concatenate([of[:, :2].min(axis=0), of[:, 2:].max(axis=0)])
            for of in (boxes[kept][stack == i] for i in range(stack.max() + 1))
        ]
    )
    return Page.of(
        Sheet(ink, height, pen, corner, whole),
        labels,
        rows_of(boxes, height).tolist(),
        [np.nan] * len(boxes),
        boxes[:, 1::2].mean(axis=1).tolist(),
    )


def _typical(values: npt.NDArray[np.number], weights: Floats) -> float:
    """Returns the median of values with weights."""
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(sums, sums[-1] / 2)]])


def _grown(labels: Labels, free: Mask, reach: int) -> Labels:
    """Gives soft edges, which are in no piece, to the piece that they are nearest to."""
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
