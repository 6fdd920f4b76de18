"""Finding the digits among segments: the Viterbi path through their segmentation graph.

Every way to join neighboring segments is a candidate, an edge of the graph. The network classifies
all candidates, and dynamic programming finds the path of least cost through the image (Matan,
Burges, LeCun and Denker 1992; LeCun, Bottou, Bengio and Haffner 1998, section V). The network was
trained on non-digits, too, and so recognizes wrong candidates.

Its probabilities alone are not enough: some pairs of digits look like one digit, and so do some
halves. The costs below are natural logarithms of odds, chosen with tests/benchmarks/strips.py on
strips of MNIST's training images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from digitcli.data.arrays import Box, Classify, Floats, Image28, Mask, distances, sizes
from digitcli.data.segmentation.segments import Segments
from digitcli.data.segmentation.unread import count_unread

_ONE_DIGIT = 0.5  # minimum probability of an image in MNIST form that is read as one digit

# An aspect ratio is width by height; other lengths are fractions of a typical digit's height.
_SURE, _WIDE = 0.97, 1.1  # minimum probability and maximum aspect ratio of a segment left uncut
_MIN_CUT_HEIGHT, _MIN_CUT_ASPECT = 8, 0.2  # minimum height in pixels and aspect ratio for cutting
_MAX_CUT_WIDTH = 120.0  # maximum total width of the segments that are cut
_MAX_ASPECT = 1.5  # maximum aspect ratio of a digit of several segments
_MAX_GAP = 0.2  # maximum distance between segments of a digit
_MAX_STROKE_GAP = 2.5  # the same in stroke widths; the larger of both applies
_TALL = 0.7  # minimum height of a component that could be a digit
_SMALL = 0.4  # height below which a segment could be left out
_MAX_SEGMENTS = 20  # maximum number of segments of a digit
_MAX_CANDIDATES = 4_000  # maximum number of candidates; touching digits have some hundreds
_BATCH = 256  # maximum number of images classified at once: memory does not grow with the page

# Costs of a candidate in addition to the negative logarithm of its probability.
_DOUBT_COST, _DOUBT_SCALE = 0.3, 0.004  # _DOUBT_COST * log(1 + (1 - probability) / _DOUBT_SCALE)
_DIGIT_COST = -0.9  # cost of each digit
_CUT_COST = 0.75  # cost per stroke width of ink that a cut crosses
_JOIN_COST = 0.35  # cost of each further component that could be a digit itself
_SHAPE_COST = 0.06  # cost per squared deviation of the aspect ratio from the class's _ASPECTS
_MAX_DEVIATION = 8.0  # maximum squared deviation
_SHORT_COST = 1.5  # cost per log(typical height / height) of a digit below the typical height
_SKIP_COST = 0.5  # cost of leaving out a small segment
_WHOLE_COST = -0.5  # cost of reading the whole image as one digit

_ASPECTS = {
    "0": (-0.09, 0.20),
    "1": (-0.86, 0.44),
    "2": (-0.06, 0.21),
    "3": (-0.21, 0.20),
    "4": (-0.22, 0.20),
    "5": (-0.07, 0.24),
    "6": (-0.30, 0.21),
    "7": (-0.24, 0.21),
    "8": (-0.26, 0.21),
    "9": (-0.37, 0.20),
}
"""Mean and standard deviation of the logarithm of the aspect ratio, width by height, by class.
Measured: MNIST's training digits."""


@dataclass(frozen=True)
class SegmentedDigit:
    """A digit found in an image."""

    image: Image28  # in MNIST form
    probabilities: Floats  # (classes,)
    box: Box  # in the original image
    row: int  # number of the row of writing, from 0


@dataclass(frozen=True)
class Found:
    """The digits found in an image, in reading order.

    Attributes:
        digits: The digits.
        cost: Mean cost of a digit on the path through the segmentation graph.
        left_out: Number of shapes that are left out and could be digits.
        turned: The image shows digits rather after a turn by a quarter.
    """

    digits: list[SegmentedDigit]
    cost: float
    left_out: int = 0
    turned: bool = False


@dataclass(frozen=True)
class _Candidate:
    """Segments from ``first`` up to ``end`` as one digit, with the aspect ratio and a cost."""

    first: int
    end: int
    aspect: float
    cost: float


def find_digits(segments: Segments, classify: Classify, classes: Sequence[str]) -> Found:
    """Finds the digits among segments, in reading order.

    Unsure segments are cut, and all candidates are classified again. ``classes`` are the names of
    the classes in the order of the probabilities.
    """
    if (whole := segments.writing.whole) is not None:
        probabilities = classify(whole[None])[0]
        if probabilities.max() >= _ONE_DIGIT:
            box = segments.box(0, len(segments))
            return Found([SegmentedDigit(whole, probabilities, box, 0)], cost=0)
    candidates, scores = _classified(segments, classify)
    if chosen := _segments_to_cut(segments, candidates, scores):
        cut = segments.cut(chosen)
        if len(cut) > len(segments):
            segments = cut
            candidates, scores = _classified(segments, classify)
    costs = [
        candidate.cost + _class_cost(probabilities, classes, candidate.aspect)
        for candidate, probabilities in zip(candidates, scores, strict=True)
    ]
    found = []
    path, cost = _viterbi_path(segments, candidates, costs)
    places = [(candidates[i].first, candidates[i].end) for i in path]
    for i, (first, end) in zip(path, places, strict=True):
        box, image = segments.original_box(first, end), segments.image(first, end)
        found.append(SegmentedDigit(image, scores[i], box, int(segments.rows[first])))
    left_out = segments.writing.left_out + count_unread(segments, places, classify)
    return Found(found, cost / max(1, len(path)), left_out)


def _segments_to_cut(segments: Segments, candidates: list[_Candidate], scores: Floats) -> set[int]:
    """Returns unsure or wide segments, the narrowest first: the widest are unlikely digits."""
    widths, heights = sizes(segments.boxes).T
    aspects = widths / np.minimum(heights, segments.writing.height)
    small = _is_small(segments)
    usable = [
        i
        for candidate, probabilities in zip(candidates, scores, strict=True)
        if candidate.end == (i := candidate.first) + 1
        and (probabilities.max() < _SURE or candidate.aspect > _WIDE)
        and not small[i]
        and heights[i] >= _MIN_CUT_HEIGHT
        and aspects[i] >= _MIN_CUT_ASPECT
    ]
    usable.sort(key=lambda i: aspects[i])
    return set(usable[: np.searchsorted(np.cumsum(aspects[usable]), _MAX_CUT_WIDTH, "right")])


def _classified(segments: Segments, classify: Classify) -> tuple[list[_Candidate], Floats]:
    """Returns all candidates and their probabilities, float64 (candidates, classes)."""
    candidates = [c for first in range(len(segments)) for c in _candidates_from(segments, first)]
    most = _MAX_SEGMENTS
    while len(candidates) > _MAX_CANDIDATES:
        most -= 1
        candidates = [c for c in candidates if c.end - c.first <= most]
    batches = (candidates[i : i + _BATCH] for i in range(0, len(candidates), _BATCH))
    return candidates, np.concatenate(
        [classify(np.stack([segments.image(c.first, c.end) for c in batch])) for batch in batches]
    )


def _candidates_from(segments: Segments, first: int) -> Iterator[_Candidate]:
    """Yields the candidates that begin with a segment, the shortest first."""
    boxes, typical = segments.boxes, segments.writing.height
    reach = max(_MAX_STROKE_GAP * segments.writing.stroke_width, _MAX_GAP * typical)
    is_cut = ~np.isnan(segments.crossed)
    tall = sizes(boxes)[:, 1] >= _TALL * typical
    base = _DIGIT_COST + (_CUT_COST * float(segments.crossed[first]) if is_cut[first] else 0.0)
    components = 0
    for end in range(first + 1, min(len(segments), first + _MAX_SEGMENTS) + 1):
        last = end - 1
        if segments.rows[last] != segments.rows[first]:
            return
        left, top, right, bottom = segments.box(first, end)
        width, height = right - left, bottom - top
        if last > first:
            if distances(boxes[first:last], boxes[last]).min() > reach:
                return
            if width > _MAX_ASPECT * max(height, typical):
                return
        components += bool(tall[last] and not is_cut[last])
        cost = base + _JOIN_COST * max(0, components - 1)
        cost += _SHORT_COST * max(0.0, float(np.log(typical / height)))
        if end - first == len(segments):
            cost += _WHOLE_COST
        yield _Candidate(first, end, width / height, cost)


def _is_small(segments: Segments) -> Mask:
    """Returns True for segments that could be left out."""
    return sizes(segments.boxes)[:, 1] < _SMALL * segments.writing.height


def _class_cost(probabilities: Floats, classes: Sequence[str], aspect: float) -> float:
    """Returns the cost of a candidate's doubt and, for its most probable class, of its shape."""
    best = int(probabilities.argmax())
    probability = probabilities[best]
    cost = _DOUBT_COST * np.log1p((1 - probability) / _DOUBT_SCALE) - np.log(probability)
    if classes[best] not in _ASPECTS:
        return float(cost)
    mean, deviation = _ASPECTS[classes[best]]
    unusual = min(((np.log(aspect) - mean) / deviation) ** 2, _MAX_DEVIATION)
    return float(cost + _SHAPE_COST * unusual)


def _viterbi_path(
    segments: Segments, candidates: list[_Candidate], costs: list[float]
) -> tuple[list[int], float]:
    """Returns the candidates of least total cost that cover the image, but for small segments.

    The total cost is the second value.
    """
    edges: list[tuple[int, int, float, int | None]] = [
        (c.first, c.end, cost, i) for i, (c, cost) in enumerate(zip(candidates, costs, strict=True))
    ]
    small = np.flatnonzero(_is_small(segments)).tolist()
    edges += [(first, first + 1, _SKIP_COST, None) for first in small]
    edges.sort(key=lambda edge: edge[0])
    total = [0.0] + [np.inf] * len(segments)
    previous: list[tuple[int, int | None]] = [(0, None)] * len(total)
    for first, end, cost, chosen in edges:
        if total[first] + cost < total[end]:
            total[end], previous[end] = total[first] + cost, (first, chosen)
    path, end = [], len(segments)
    while end:
        end, chosen = previous[end]
        if chosen is not None:
            path.append(chosen)
    return path[::-1], total[-1]
