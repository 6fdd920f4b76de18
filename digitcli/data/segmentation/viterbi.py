"""Choosing which parts of a page make which digit.

All ways to join neighbouring parts are weighed against each other by what the network says of each
digit they would make, and the best way through the page is found by dynamic programming (Matan,
Burges, LeCun and Denker 1992; LeCun, Bottou, Bengio and Haffner 1998, section V). The network knows
what no digit looks like: it was trained on pictures of none.

Its word alone is not enough, for some pairs look like one digit, and some halves do. The costs here
are natural logarithms of odds, and were chosen on strips of MNIST's training pictures, by
tests/benchmarks/strips.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Floats, Image28, Mask
from digitcli.data.segmentation.segments import Page

Judge = Callable[[npt.NDArray[np.uint8]], Floats]
"""Returns the classes' probabilities, float (count, classes), of pictures in MNIST's form."""

_ONE = 0.5
"""Probability from which a picture that is in the form of MNIST's single digits is one."""

_SURE, _WIDE = 0.97, 1.1
"""A piece that the network is as sure of, and that is no wider as a share of its height, is not
cut."""

_LEAST_CUT, _NARROW = 8, 0.2
"""Pixels of a piece's height, and its width as a share of that, under which it is not cut."""

_MOST_CUT = 120.0
"""Widths of the pieces that are cut on a page, in heights of a digit and all together."""

_BLOCK = 256
"""Pictures that the network is shown at once: memory stays flat on a crowded page."""

_MOST_PARTS = 20
"""Parts that a digit is joined of at most."""

_MOST_SPANS = 4_000
"""Ways to join parts that are looked at on a page; one of touching digits has some hundreds."""

_WIDEST = 1.5
"""Width of a digit that is joined of several parts at most, as a share of its height."""

_GAP, _PEN_GAP = 0.2, 2.5
"""Distance of parts of a digit at most, as a share of a digit's height, or in widths of the pen."""

_TALL, _SMALL = 0.7, 0.4
"""Shares of a digit's height from which a piece could be a digit, and under which it is none."""

_DOUBT, _CERTAIN = 0.3, 0.004
_DIGIT = -0.9
_CUT = 0.75
_JOIN = 0.35
_SHAPE, _MOST_SHAPE = 0.06, 8.0
_SHORT = 1.5
_LEFT_OUT = 0.5
_WHOLE = -0.5
"""Costs: ``_DOUBT * log(1 + doubt / _CERTAIN)`` of the network's doubt, beside the logarithm of its
probability; of a further digit; of each width of the pen that a cut crosses; of joining two pieces
that could be digits; of a shape that is unusual for the class, times the square of its deviation up
to a limit; of being shorter than others, times the logarithm; of leaving out a small part; and of
reading the whole picture as one digit."""

_SHAPES = {
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
"""Mean and deviation of the logarithm of width by height of MNIST's training digits."""


@dataclass(frozen=True)
class SegmentedDigit:
    """A digit on a page.

    Attributes:
        picture: uint8 (28, 28), in MNIST's form.
        probabilities: float (classes,).
        box: In pixels of the picture: top, left, bottom and right, the last two exclusive.
        row: Which row of writing it stands in, from 0.
    """

    picture: Image28
    probabilities: Floats
    box: tuple[int, int, int, int]
    row: int


@dataclass(frozen=True)
class _Span:
    """Parts that may be a digit: from ``first`` up to ``end``; and what speaks against it."""

    first: int
    end: int
    cost: float


def read_page(page: Page, judge: Judge, classes: Sequence[str]) -> list[SegmentedDigit]:
    """Finds the digits of a page, in reading order.

    Args:
        page: In pieces, as ``find_parts`` returns it.
        judge: The network.
        classes: Its classes' names, in their order.
    """
    if (whole := page.sheet.whole) is not None and (share := judge(whole[None])[0]).max() >= _ONE:
        return [SegmentedDigit(whole, share, page.box(0, len(page)), 0)]
    spans, shares = _judged(page, judge)
    small = _is_small(page)
    unsure = {
        span.first
        for span, share in zip(spans, shares, strict=True)
        if span.end == span.first + 1
        and (share.max() < _SURE or _aspect(page, span) > _WIDE)
        and not small[span.first]
    }
    if (chosen := _to_cut(page, unsure)) and len(parted := page.cut(chosen)) > len(page):
        page = parted
        spans, shares = _judged(page, judge)
    costs = [
        span.cost + _cost(share, classes, _aspect(page, span))
        for span, share in zip(spans, shares, strict=True)
    ]
    found = []
    for i in _best_way(page, spans, costs):
        first, end = spans[i].first, spans[i].end
        top, left, bottom, right = page.box(first, end)
        down, aside = page.sheet.corner
        box = (top + down, left + aside, bottom + down, right + aside)
        found.append(
            SegmentedDigit(page.picture(first, end), shares[i], box, int(page.rows[first]))
        )
    return found


def _to_cut(page: Page, unsure: set[int]) -> set[int]:
    """Chooses the parts that are cut, the narrowest first: the widest are the least of digits."""
    heights, widths = (page.boxes[:, 2:] - page.boxes[:, :2]).T
    aspects = widths / np.minimum(heights, page.sheet.height)
    usable = [i for i in sorted(unsure) if heights[i] >= _LEAST_CUT and aspects[i] >= _NARROW]
    usable.sort(key=lambda i: aspects[i])
    return set(usable[: np.searchsorted(np.cumsum(aspects[usable]), _MOST_CUT, "right")])


def _judged(page: Page, judge: Judge) -> tuple[list[_Span], Floats]:
    """Has the network judge what parts may be joined to, a block of pictures at a time."""
    spans = [span for first in range(len(page)) for span in _from(page, first)]
    most = _MOST_PARTS
    while len(spans) > _MOST_SPANS:
        most -= 1
        spans = [span for span in spans if span.end - span.first <= most]
    blocks = (spans[i : i + _BLOCK] for i in range(0, len(spans), _BLOCK))
    return spans, np.concatenate(
        [
            judge(np.stack([page.picture(span.first, span.end) for span in block]))
            for block in blocks
        ]
    )


def _from(page: Page, first: int) -> Iterator[_Span]:
    """Lists the spans that begin with a part: the shortest first."""
    boxes = page.boxes
    reach = max(_PEN_GAP * page.sheet.pen, _GAP * page.sheet.height)
    cut = 0.0 if np.isnan(page.crossed[first]) else _CUT * float(page.crossed[first])
    tall = boxes[:, 2] - boxes[:, 0] >= _TALL * page.sheet.height
    pieces = 0
    for end in range(first + 1, min(len(page), first + _MOST_PARTS) + 1):
        last = end - 1
        if page.rows[last] != page.rows[first]:
            return
        height, width = _size(page, first, end)
        pieces += bool(tall[last] and np.isnan(page.crossed[last]))
        if last > first:
            before = boxes[first:last]
            apart = np.maximum(before[:, :2] - boxes[last, 2:], boxes[last, :2] - before[:, 2:])
            if np.hypot(*apart.clip(0).T).min() > reach:
                return
            if width > _WIDEST * max(height, page.sheet.height):
                return
        cost = _DIGIT + cut + _JOIN * max(0, pieces - 1)
        cost += _SHORT * max(0.0, float(np.log(page.sheet.height / height)))
        if end - first == len(page):
            cost += _WHOLE
        yield _Span(first, end, cost)


def _size(page: Page, first: int, end: int) -> tuple[int, int]:
    top, left, bottom, right = page.box(first, end)
    return bottom - top, right - left


def _is_small(page: Page) -> Mask:
    """Says of each part whether it could be left out."""
    small: Mask = page.boxes[:, 2] - page.boxes[:, 0] < _SMALL * page.sheet.height
    return small


def _aspect(page: Page, span: _Span) -> float:
    """Returns a span's width as a share of its height."""
    height, width = _size(page, span.first, span.end)
    return width / height


def _cost(share: Floats, classes: Sequence[str], aspect: float) -> float:
    """Returns what speaks against a digit as the network sees it, and as it is shaped."""
    best = int(share.argmax())
    doubt = _DOUBT * np.log1p((1 - share[best]) / _CERTAIN) - np.log(share[best])
    if classes[best] not in _SHAPES:
        return float(doubt)
    mean, deviation = _SHAPES[classes[best]]
    unusual = min(((np.log(aspect) - mean) / deviation) ** 2, _MOST_SHAPE)
    return float(doubt + _SHAPE * unusual)


def _best_way(page: Page, spans: list[_Span], costs: list[float]) -> list[int]:
    """Finds the spans of least cost that cover the page, but for small parts left out."""
    count = len(page)
    small = _is_small(page)
    total = [0.0] + [np.inf] * count
    came: list[tuple[int, int | None]] = [(0, None)] * (count + 1)
    of_first: list[list[int]] = [[] for _ in range(count)]
    for i, span in enumerate(spans):
        of_first[span.first].append(i)
    for first in range(count):
        for i in of_first[first]:
            if (cost := total[first] + costs[i]) < total[spans[i].end]:
                total[spans[i].end], came[spans[i].end] = cost, (first, i)
        if small[first] and (cost := total[first] + _LEFT_OUT) < total[first + 1]:
            total[first + 1], came[first + 1] = cost, (first, None)
    way, end = [], count
    while end:
        end, chosen = came[end]
        if chosen is not None:
            way.append(chosen)
    return way[::-1]
