"""Interpretations of an image: several ways to prepare it, of which the network chooses one.

Preparation begins with decisions that the rest depends on: what the background is, whether ink is
darker or lighter, whether a shape at the border is part of the digit. Most images leave no doubt.
The others are changed in several ways, each of which undoes a wrong decision, and prepared again. The network was trained on non-digits, too, so its probability shows which result
is a digit.

To add an interpretation, yield its name and the changed image in ``_changes``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Box, Floats, Gray, Image28, Ink, sizes
from digitcli.data.preprocessing.binarize import is_evenly_lit, separate_ink
from digitcli.data.preprocessing.components import find_components, touched_borders
from digitcli.data.preprocessing.mnist_form import (
    VISIBLE,
    OnStep,
    PreparedDigit,
    downscale,
    ignore_step,
    in_mnist_form,
    prepare,
)
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines

Classify = Callable[[Image28], Floats]
"""Returns the classes' probabilities, float64 (count, classes), of images in MNIST form."""

_SURE = 0.97  # minimum probability at which an image is not interpreted further
_MIN_SCORE = 0.75  # minimum score of an interpretation other than the first
_UNEXPLAINED = 0.3  # cost in probability of a digit that has none of the image's ink
_MARGIN = 0.15  # width of an added margin, as a fraction of the image's longer side
_MARGINS = {"dark margin added": 5, "light margin added": 95}  # percentiles of the gray levels
_MIN_SIDE = 64  # minimum pixels of the shorter side of an image to search for other shapes
_NEAR = 0.05  # maximum distance of a digit from a border that it touches, as a fraction of its side
_CUT_WEIGHT = 0.9  # weight of a digit that touches a border of many gray levels
_BANDS = 4  # vertical and horizontal bands in which curved ruled lines are straight
_FLAT = 0.02  # maximum height of what remains of a ruled line, as a fraction of the image's height


def interpret(gray: Gray, classify: Classify, on_step: OnStep = ignore_step) -> PreparedDigit:
    """Prepares an image in the way in which the network recognizes it best.

    Raises:
        BlankPictureError: There is no ink in the image.
    """
    if in_mnist_form(gray) is not None:
        return prepare(gray, on_step)
    digit, best = prepare(gray), gray
    score = _score(digit, classify)
    touched = _touched_borders(digit, gray, 0)
    if score < _SURE or touched:
        if touched and not is_evenly_lit(gray):
            score *= _CUT_WEIGHT
        for name, changed, margin in _changes(gray):
            try:
                candidate = prepare(changed)
            except BlankPictureError:
                continue
            if margin and _touched_borders(candidate, changed, margin) < 2:
                continue
            candidate_score = _score(candidate, classify)
            if candidate_score > max(_MIN_SCORE, score):
                digit, best = replace(candidate, interpretation=name), changed
                score = candidate_score
    if on_step is not ignore_step:
        on_step("image", gray)
        prepare(best, on_step)
    return digit


def _score(digit: PreparedDigit, classify: Classify) -> float:
    """Returns the probability of a digit, less if it leaves much ink aside."""
    probability = float(classify(digit.image[None]).max()) / (1 + digit.others)
    return probability * (1 - _UNEXPLAINED * (1 - digit.coverage))


def _touched_borders(digit: PreparedDigit, gray: Gray, margin: int) -> int:
    """Returns the number of borders that a digit touches, of an image without its margin."""
    if digit.box is None:
        return 0
    height, width = (side - 2 * margin for side in gray.shape)
    return touched_borders(Box(*np.subtract(digit.box, margin).tolist()), (height, width), _NEAR)


def _changes(gray: Gray) -> Iterator[tuple[str, Gray, int]]:
    """Yields other interpretations: a name, the changed image, and the width of its margin."""
    margin = max(4, round(_MARGIN * max(gray.shape)))
    for name, percentile in _MARGINS.items():
        level = np.float32(np.percentile(gray, percentile))
        yield name, np.pad(gray, margin, constant_values=level), margin
    if min(gray.shape) < _MIN_SIDE:
        return
    ink = separate_ink(downscale(gray))
    without = remove_ruled_lines(ink, _BANDS)
    for name, changed, borders in (
        ("shapes at the border removed", ink, True),
        ("all lines removed", without, False),
        ("lines and shapes at the border removed", without, True),
    ):
        yield name, 1 - _cleared(changed, borders=borders), 0


def _cleared(ink: Ink, *, borders: bool) -> Ink:
    """Removes what remains of lines, or with ``borders`` what touches the image's border."""
    components = find_components(ink > VISIBLE, ink)
    boxes, (height, width) = components.boxes, ink.shape
    across, down = sizes(boxes).T
    drop = (down <= max(2, _FLAT * height)) & (across >= 3 * down)
    if borders:
        near = max(1, min(ink.shape) // 100)
        drop |= (boxes[:, :2] <= near).any(axis=1)
        drop |= (boxes[:, 2] >= width - near) | (boxes[:, 3] >= height - near)
    removed = np.isin(components.labels, np.flatnonzero(drop) + 1)
    return np.where(removed, np.float32(0), ink)
