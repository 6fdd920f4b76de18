"""Interpretations of an image of digits: a doubtful one is read in several ways."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Boxes, Classify, Gray, gaps, longer_side, sizes
from digitcli.data.segmentation.oversegment import Separated, Way, make_upright, segment, separate
from digitcli.data.segmentation.viterbi import Found, find_digits

_SURE = 0.6  # minimum probability of each digit in a reading without doubt
_MAX_COST = 0.2  # maximum cost of such a reading; measured: of right ones -0.7 to 0
# Minimum overlap in width of digits above each other, and maximum gap between parts of a digit, as
# fractions of the narrower and of the lower one: the upper and the lower bar of a 1.
_ABOVE, _GAP = 0.3, 0.3
_MAX_PART = 3.0  # maximum ratio of the longer sides of a digit and of a part that was read as one
_MAX_SEGMENTS = 200  # maximum number of segments of an image that is read in several ways
_GAIN = 0.3  # minimum difference in cost to the straight way

_WAYS = (
    Way(bridged=0.7),
    Way(bridged=1.4),
    Way(darker=True),
    Way(darker=False),
    Way(darker=True, bridged=1.0),
    Way(bordered=True),
    Way(bridged=1.0, upright=True),
    Way(darker=True, bridged=1.0, upright=True),
)


def read_digits(gray: Gray, classify: Classify, classes: Sequence[str]) -> Found:
    """Finds the digits of an image, in several ways if the straight one leaves doubt.

    Raises:
        BlankPictureError: There is no ink in the image.
        PictureError: There are too many components.
    """
    separated = separate(gray, None)
    segments = segment(separated, Way())
    straight = find_digits(segments, classify, classes)
    if separated.whole is not None or len(segments) > _MAX_SEGMENTS or is_sure(straight):
        return straight
    best = straight
    is_bridged = False
    for way, found in _other_readings(gray, separated, segments.boxes, classify, classes):
        if found.cost < best.cost - (_GAIN if best is straight else 0):
            best, is_bridged = found, way.bridged > 0
            if is_sure(best):
                break
    max_part = np.inf if is_bridged else _MAX_PART  # parts of digits are joined
    return replace(
        best,
        left_out=best.left_out + _count_missing(straight, best, max_part),
        turned=len(best.digits) > 1 and _is_turned(separated, best, classify, classes),
    )


def _other_readings(
    gray: Gray, separated: Separated, boxes: Boxes, classify: Classify, classes: Sequence[str]
) -> Iterator[tuple[Way, Found]]:
    """Yields the readings of other ways whose segments differ from all before; ``boxes`` first."""
    inks: dict[bool | None, Separated] = {None: separated}
    seen = [boxes]
    for way in _WAYS:
        try:
            if way.darker not in inks:
                inks[way.darker] = separate(gray, way.darker)
            ink = inks[way.darker]
            segments = segment(make_upright(ink) if way.upright else ink, way)
        except PictureError:
            continue
        if any(np.array_equal(segments.boxes, other) for other in seen):
            continue
        seen.append(segments.boxes)
        if len(segments) <= _MAX_SEGMENTS:
            found = find_digits(segments, classify, classes)
            if found.digits:
                yield way, found


def _count_missing(straight: Found, best: Found, max_part: float) -> int:
    """Returns the number of recognized digits of the straight way that another one has not.

    ``max_part`` is the maximum ratio of the longer sides of a digit and of one that has its ink.
    """
    boxes = np.array([digit.box for digit in best.digits])
    sides = sizes(boxes).max(axis=1)
    missing = 0
    for digit in straight.digits:
        if digit.probabilities.max() >= _SURE:
            has_ink_of = (gaps(boxes, np.array(digit.box)) < 0).all(axis=1)
            missing += not (has_ink_of & (sides <= max_part * longer_side(digit.box))).any()
    return missing


def _is_turned(
    separated: Separated, best: Found, classify: Classify, classes: Sequence[str]
) -> bool:
    """Returns True if digits are recognized better after a turn by a quarter."""
    for quarters in (1, 3):
        ink = np.ascontiguousarray(np.rot90(separated.ink, quarters))
        try:
            segments = segment(replace(separated, ink=ink), Way())
        except PictureError:
            continue
        if len(segments) <= _MAX_SEGMENTS:
            found = find_digits(segments, classify, classes)
            if len(found.digits) > 1 and found.cost < best.cost - _GAIN and is_sure(found):
                return True
    return False


def is_sure(found: Found) -> bool:
    """Returns True if the network recognizes all digits, and none looks like part of another."""
    if found.cost > _MAX_COST or any(digit.probabilities.max() < _SURE for digit in found.digits):
        return False
    boxes = np.array([digit.box for digit in found.digits])
    width, height = sizes(boxes).T
    for i, box in enumerate(boxes):
        across, down = gaps(boxes, box).T
        above = (-across >= _ABOVE * np.minimum(width, width[i])) & (np.arange(len(boxes)) != i)
        if (above & (abs(down) <= _GAP * np.minimum(height, height[i]))).any():
            return False
    return True
