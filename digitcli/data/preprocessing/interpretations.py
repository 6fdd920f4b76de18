"""Interpretations of an image: several ways to prepare it, of which the network chooses one.

Preparation begins with decisions that the rest depends on: what the background is, whether ink is
darker or lighter, whether a shape at the border is part of the digit. Most images leave no doubt.
The others are changed in several ways, each of which undoes a wrong decision, and prepared again.
The network was trained on non-digits, too, so its probability shows which result is a digit.

To add an interpretation, yield its name and the changed image in ``_without_other_ink``.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import Classify, Floats, Gray, Ink, Mask, sizes
from digitcli.data.preprocessing.binarize import FLAT_BORDER, border_spread, separate_ink
from digitcli.data.preprocessing.components import Components, find_components
from digitcli.data.preprocessing.mnist_form import (
    SIDE,
    VISIBLE,
    OnStep,
    PreparedDigit,
    downscale,
    ignore_step,
    in_mnist_form,
    is_bar,
    keep,
    prepare,
)
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines
from digitcli.data.preprocessing.whole_digits import find_whole_digits

_SURE = 0.97  # minimum score at which no further interpretation is tried
_CLEAR = 0.99  # the same of a digit in a crop, whose border ink and background share
_MIN_SCORE = 0.75  # minimum score of an interpretation other than the first
_MIN_CUT_SCORE = 0.45  # the same of one for digits that fill the image
_UNEXPLAINED = 0.3  # cost in probability of a digit that has none of the image's ink
_CUT_WEIGHT = 0.9  # weight of a digit at the border of an image without an even background
_TIGHT_WEIGHTS = {2: 0.9, 3: 0.95}  # weights of a digit that touches two or three borders
_ENCLOSED_WEIGHT = 0.8  # weight of one that touches none, in a mixed border or within a margin
_MIXED_BORDER = 0.6  # minimum spread of a border that ink and background share
_WHOLE = 0.98  # minimum coverage of a digit that is all of an image's ink
_NEAR = 0.05  # maximum distance from a border that is touched, as a fraction of the shorter side
_CERTAIN, _CERTAIN_CHANGED = 0.7, 0.9  # minimum of the first and of another without a doubt
_FILLED = 0.5  # minimum width of a bar in a tight crop, as a fraction of the image's; edges blur
_AS_IT_IS = "image"  # name of the first interpretation
_MARGIN = 0.15  # width of an added margin, as a fraction of the image's longer side
_MARGINS = {"dark margin added": 5, "light margin added": 95}  # percentiles of the gray levels
_MIN_SIDE = 64  # minimum pixels of the shorter side of an image with lines or a table
_ALIKE = 0.15  # maximum difference of the sizes of one digit, found in two ways, as a fraction
_PAGE_SIDE = 100  # the same of one with room for several digits beside a larger shape
_BANDS = 4  # bands across the image in which curved or interrupted ruled lines are straight
_FLAT = 0.02  # maximum height of what remains of a ruled line, as a fraction of the image's height
_CLOSER = (0.06, 0.15)  # widths of the borders cut off for a closer look, fractions of the side


class _Change(NamedTuple):
    """An image changed to be prepared again."""

    name: str
    gray: Gray
    margin: int = 0  # width of the margin that was added
    inner: bool = True  # False if a digit that touches no border is no reason for the change
    bars: bool = True  # False if the change makes bars, which are then no digits


def interpret(gray: Gray, on_step: OnStep = ignore_step, *, classify: Classify) -> PreparedDigit:
    """Prepares an image in the way in which the network recognizes it best.

    Raises:
        BlankPictureError: There is no ink in the image.
    """
    if (image := in_mnist_form(gray)) is not None:
        return keep(image, gray, on_step)
    try:
        choice = _Choice(gray, classify)
    except BlankPictureError:
        prepare(gray, on_step)  # shows the steps up to the error
        raise
    small = downscale(gray)
    if choice.score < _SURE or choice.at_border:
        choice.consider(_with_margins(small))
    is_crop = choice.is_tight or choice.is_clear_crop
    if choice.score < _SURE and not is_crop:
        choice.consider(_without_other_ink(small))
    digit, change = choice.digit, choice.change
    if (choice.is_changed or choice.may_be_surroundings) and not is_crop:
        scale = 1.0 if choice.is_changed else max(small.shape) / max(gray.shape)
        size: Floats = scale * sizes(np.array([digit.box]))[0].astype(np.float64)
        digit = replace(digit, others=max(digit.others, _count_others(small, size, classify)))
    if on_step is not ignore_step:
        names = {"image": change.name}
        prepare(change.gray, lambda name, image: on_step(names.get(name, name), image))
    doubtful = choice.certainty < (_CERTAIN_CHANGED if choice.is_changed else _CERTAIN)
    stripe = _is_stripe(digit, change)
    return replace(digit, doubtful=doubtful, stripe=stripe, first=choice.first)


class _Choice:
    """The best interpretation so far; at first the image as it is.

    Attributes:
        digit: The prepared digit.
        first: The image as it is, prepared.
        change: The change before the preparation.
        certainty: See ``_score``.
        score: The certainty times a weight: a digit in a tight crop touches all borders, while
            pieces of its background touch some.
        at_border: True if the image as it is may be cropped: its digit touches a border, or is
            doubtful where the border shows both ink and background.
        may_be_surroundings: True if it touches several, and the light is uneven as in a photo.
    """

    def __init__(self, gray: Gray, classify: Classify) -> None:
        self._classify = classify
        self.digit, self.change = prepare(gray), _Change(_AS_IT_IS, gray)
        self.first = self.digit.image
        self.certainty = _score(self.digit, classify)
        touched = sum(_touched(self.digit, self.change))
        self._touched_border = touched > 0
        is_clear = self.certainty >= _CLEAR
        spread = 0.0 if is_clear and not touched else border_spread(gray)
        mixed = not is_clear and spread > _MIXED_BORDER
        self.score = self.certainty * _weight(self.digit, self.change)
        self.at_border, self.may_be_surroundings = touched > 0 or mixed, False
        if mixed and not touched:
            self.score *= _ENCLOSED_WEIGHT
        elif touched and spread > FLAT_BORDER:
            self.score *= _CUT_WEIGHT
            self.may_be_surroundings = touched > 1

    @property
    def is_changed(self) -> bool:
        """True unless the image as it is is the best."""
        return self.change.name != _AS_IT_IS

    @property
    def _is_all_ink(self) -> bool:
        return not self.digit.others and self.digit.coverage >= _WHOLE

    @property
    def is_tight(self) -> bool:
        """True if a plausible digit is all of the ink and touches all borders."""
        plausible = self.score >= _MIN_CUT_SCORE
        return plausible and self._is_all_ink and all(_touched(self.digit, self.change))

    @property
    def is_clear_crop(self) -> bool:
        """True if a digit that touched a border is all of the ink, and clear with a margin."""
        clear = self.certainty >= _CLEAR and self.change.margin > 0
        return clear and self._is_all_ink and self._touched_border

    def consider(self, changes: Iterator[_Change]) -> None:
        """Takes the best of some changes if it is better."""
        for change in changes:
            try:
                digit = prepare(change.gray)
            except BlankPictureError:
                continue
            if _is_possible(digit, change):
                certainty = _score(digit, self._classify)
                score = certainty * _weight(digit, change)
                if score > max(self.score, _MIN_SCORE if change.inner else _MIN_CUT_SCORE):
                    self.digit, self.change = digit, change
                    self.score, self.certainty = score, certainty


def _score(digit: PreparedDigit, classify: Classify) -> float:
    """Returns the probability of a digit, less if it leaves much ink aside."""
    probability = float(classify(digit.image[None]).max()) / (1 + digit.others)
    return probability * (1 - _UNEXPLAINED * (1 - digit.coverage))


def _weight(digit: PreparedDigit, change: _Change) -> float:
    """Returns the weight of an interpretation by the number of borders that its digit touches."""
    touched = sum(_touched(digit, change))
    if change.margin and not touched:
        return _ENCLOSED_WEIGHT
    return _TIGHT_WEIGHTS.get(touched, 1.0)


def _is_possible(digit: PreparedDigit, change: _Change) -> bool:
    """Returns True if an interpretation is meant for such a digit.

    With a margin, a digit touches two borders or more, and a bar fills the width. Otherwise it
    touches none.
    """
    touched, bar = sum(_touched(digit, change)), is_bar(digit.image)
    if change.margin and touched >= 2:
        return not bar or _fills_width(digit, change)
    return touched == 0 and change.inner and (change.bars or not bar)


def _touched(digit: PreparedDigit, change: _Change) -> tuple[bool, bool, bool, bool]:
    """Returns True for each border that a digit touches, left, top, right and bottom."""
    left, top, right, bottom = digit.box
    height, width = change.gray.shape
    near = max(2, round(_NEAR * (min(height, width) - 2 * change.margin))) + change.margin
    return left <= near, top <= near, right >= width - near, bottom >= height - near


def _is_stripe(digit: PreparedDigit, change: _Change) -> bool:
    """Returns True for a bar from the upper to the lower border that has room beside it."""
    _, top, _, bottom = _touched(digit, change)
    across = top and bottom and not _fills_width(digit, change)
    return across and is_bar(digit.image)


def _fills_width(digit: PreparedDigit, change: _Change) -> bool:
    width = change.gray.shape[1] - 2 * change.margin
    return digit.box.right - digit.box.left >= _FILLED * width


def _with_margins(gray: Gray) -> Iterator[_Change]:
    """Yields a cropped image on a dark and on a light background."""
    margin = max(4, round(_MARGIN * max(gray.shape)))
    for name, percentile in _MARGINS.items():
        level = np.float32(np.percentile(gray, percentile))
        yield _Change(name, np.pad(gray, margin, constant_values=level), margin, inner=False)


def _without_other_ink(gray: Gray) -> Iterator[_Change]:
    """Yields an image without what is not the digit: neighbors, edges, ruled lines, frames."""
    for change in _with_margins(gray):
        ink = _without_border_shapes(_ink(change.gray), change.margin)
        name = f"{change.name}, neighbors removed"
        yield _Change(name, 1 - ink, change.margin, bars=False)
    if min(gray.shape) < SIDE:
        return
    yield from _closer_looks(gray)
    if min(gray.shape) < _MIN_SIDE:
        return
    ink = _ink(gray)
    yield _Change("shapes at the border removed", 1 - _without_border_shapes(ink), bars=False)
    ink = _without_remains(remove_ruled_lines(ink, _BANDS))
    yield _Change("all lines removed", 1 - ink, bars=False)
    ink = _without_border_shapes(ink)
    yield _Change("lines and shapes at the border removed", 1 - ink, bars=False)


def _closer_looks(gray: Gray) -> Iterator[_Change]:
    """Yields an image without its borders."""
    for width in _CLOSER:
        cut = max(1, round(width * min(gray.shape)))
        yield _Change("closer look", gray[cut:-cut, cut:-cut])


def _count_others(gray: Gray, size: Floats, classify: Classify) -> int:
    """Returns the number of digits in an image beside the one that is read, or in its middle.

    ``size`` is the width and height of the digit that is read.
    """
    others = 0
    if min(gray.shape) >= _PAGE_SIDE:
        for change in (_Change(_AS_IT_IS, gray), *_closer_looks(gray)):
            with suppress(BlankPictureError):
                found = sizes(find_whole_digits(change.gray, classify))
                alike = (np.abs(found - size) <= np.maximum(4, _ALIKE * size)).all(axis=1)
                others = max(others, len(found) - bool(alike.any()))
            if others:
                break
    return others


def _ink(gray: Gray) -> Ink:
    """Separates ink from the background; a blank image has none."""
    try:
        return separate_ink(gray)
    except BlankPictureError:
        return np.zeros_like(gray)


def _without_border_shapes(ink: Ink, margin: int = 0) -> Ink:
    """Clears what touches the image's border; within a margin all but the heaviest, the digit."""
    components = find_components(ink > VISIBLE, ink)
    near = max(1, min(ink.shape) // 100) + margin
    boxes, (height, width) = components.boxes, ink.shape
    at_border = (boxes[:, :2] <= near).any(axis=1)
    at_border |= (boxes[:, 2] >= width - near) | (boxes[:, 3] >= height - near)
    if margin:
        at_border[:1] = False
    return _without(components, ink, at_border)


def _without_remains(ink: Ink) -> Ink:
    """Clears thin flat shapes, which remain of ruled lines."""
    components = find_components(ink > VISIBLE, ink)
    across, down = sizes(components.boxes).T
    return _without(components, ink, (down <= max(2, _FLAT * len(ink))) & (across >= 3 * down))


def _without(components: Components, ink: Ink, removed: Mask) -> Ink:
    numbers = np.flatnonzero(removed) + 1
    return np.where(np.isin(components.labels, numbers), np.float32(0), ink)
