"""Interpretations of an image of digits: a doubtful one is read in several ways."""

from collections.abc import Sequence

import numpy as np

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray, sizes
from digitcli.data.segmentation.oversegment import Way, segment, separate
from digitcli.data.segmentation.viterbi import Classify, Found, find_digits

_SURE = 0.6  # minimum probability of each digit in a reading without doubt
_LOW = 0.6  # minimum height of each digit in such a reading, as a fraction of the highest one's
_MAX_SEGMENTS = 200  # maximum number of segments of an image that is read in several ways
_GAIN = 0.3  # minimum difference in cost to the straight way

_WAYS = (
    Way(bridged=0.7),
    Way(bridged=1.4),
    Way(darker=True),
    Way(darker=False),
    Way(darker=True, bridged=1.0),
    Way(bordered=True),
)


def read_digits(gray: Gray, classify: Classify, classes: Sequence[str]) -> Found:
    """Finds the digits of an image, in several ways if the straight one leaves doubt.

    Raises:
        BlankPictureError: There is no ink in the image.
        PictureError: There are too many components.
    """
    separated = {None: separate(gray, None)}
    segments = segment(separated[None], Way())
    best = find_digits(segments, classify, classes)
    if segments.writing.whole is not None or len(segments) > _MAX_SEGMENTS or _is_sure(best):
        return best
    limit = best.cost - _GAIN
    seen = [segments.boxes]
    for way in _WAYS:
        if way.darker not in separated:
            separated[way.darker] = separate(gray, way.darker)
        try:
            segments = segment(separated[way.darker], way)
        except PictureError:
            continue
        if len(segments) > _MAX_SEGMENTS or any(
            np.array_equal(segments.boxes, boxes) for boxes in seen
        ):
            continue
        seen.append(segments.boxes)
        found = find_digits(segments, classify, classes)
        if found.digits and found.cost < limit:
            best, limit = found, found.cost
            if _is_sure(best):
                break
    return best


def _is_sure(found: Found) -> bool:
    heights = sizes(np.array([digit.box for digit in found.digits]))[:, 1]
    return bool(
        all(digit.probabilities.max() >= _SURE for digit in found.digits)
        and heights.min() >= _LOW * heights.max()
    )
