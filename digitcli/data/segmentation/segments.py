"""An image of several digits in segments: components of ink, or slices of touching digits."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from digitcli.data.arrays import Box, Boxes, Floats, Image28, Ink, Labels, Mask, pixels_of, union
from digitcli.data.preprocessing.mnist_form import VISIBLE, to_mnist_form
from digitcli.data.segmentation.cut_candidates import find_cut_candidates
from digitcli.data.segmentation.slant import NO_SHEAR, Shear


@dataclass(frozen=True)
class Writing:
    """The ink of an image, which all segmentations of it share."""

    ink: Ink
    height: float  # of a typical digit, in pixels
    stroke_width: float  # in pixels
    origin: tuple[int, int] = (0, 0)  # column and row of the image where the ink begins
    whole: Image28 | None = None  # the image itself, if it is in MNIST form
    left_out: int = 0  # number of shapes that were cleared and could be digits
    shear: Shear = NO_SHEAR  # what made the ink upright


@dataclass(frozen=True)
class Segments:
    """Segments of ink in reading order."""

    writing: Writing
    labels: Labels  # of the segments
    rows: Boxes  # int64 (count,), number of each segment's row of writing
    crossed: Floats  # (count,), ink that the cut before a segment crosses, in stroke widths, or NaN
    boxes: Boxes  # of the visible ink

    @classmethod
    def in_reading_order(cls, writing: Writing, labels: Labels, parts: Floats) -> "Segments":
        """Numbers segments by their rows and columns.

        Args:
            writing: The ink.
            labels: Number of each pixel's segment, in any order.
            parts: Row of each segment, ink crossed by the cut before and column of the center,
                float64 (count, 3).
        """
        rows, crossed, centers = parts.T
        order = np.lexsort((centers, rows))
        numbers = np.zeros(len(parts) + 1, np.int32)
        numbers[order + 1] = np.arange(len(parts)) + 1
        labels = numbers[labels]
        visible = np.nonzero((labels > 0) & (writing.ink > VISIBLE))
        boxes = np.empty((len(parts), 4), np.int64)
        boxes[:, :2], boxes[:, 2:] = max(labels.shape), 0
        for side, values in enumerate(visible[::-1]):
            np.minimum.at(boxes[:, side], labels[visible] - 1, values)
            np.maximum.at(boxes[:, side + 2], labels[visible] - 1, values + 1)
        return cls(writing, labels, rows[order].astype(np.int64), crossed[order], boxes)

    def __len__(self) -> int:
        """Number of segments."""
        return len(self.boxes)

    def box(self, first: int, end: int) -> Box:
        """Returns the box around segments from ``first`` up to ``end``."""
        return union(self.boxes[first:end])

    def original_box(self, first: int, end: int) -> Box:
        """Returns the box around segments in the pixels of the image."""
        box, (x, y) = self.box(first, end), self.writing.origin
        if self.writing.shear != NO_SHEAR:
            labels, ink = self.labels[pixels_of(box)], self.writing.ink[pixels_of(box)]
            rows, columns = np.nonzero((labels > first) & (labels <= end) & (ink > VISIBLE))
            across, down = self.writing.shear.original(columns + box.left, rows + box.top)
            box = Box(
                *(max(0, int(places.min())) for places in (across, down)),
                *(int(places.max()) + 1 for places in (across, down)),
            )
        return Box(box.left + x, box.top + y, box.right + x, box.bottom + y)

    def image(self, first: int, end: int) -> Image28:
        """Returns the segments from ``first`` up to ``end`` as one digit in MNIST form."""
        if self.writing.whole is not None and end - first == len(self):
            return self.writing.whole
        place = pixels_of(self.box(first, end))
        labels = self.labels[place]
        ink = np.where((labels > first) & (labels <= end), self.writing.ink[place], 0)
        return to_mnist_form(ink)

    def cut(self, chosen: Collection[int]) -> "Segments":
        """Cuts the chosen segments at all their cut candidates."""
        labels = np.zeros_like(self.labels)
        parts: list[tuple[float, float, float]] = []
        for i, box in enumerate(self.boxes):
            latest = -np.inf
            place = pixels_of(box)
            visible = self.writing.ink[place] > VISIBLE
            for mask, crossed in self._slices(i, is_cut=i in chosen):
                columns = np.flatnonzero((mask & visible).any(axis=0))
                if not len(columns):
                    continue
                # A slice to the right of a cut stays there, wherever the center of its box is.
                latest = max(latest + 1e-3, (columns[0] + columns[-1]) / 2)
                parts.append((self.rows[i], crossed, box[0] + latest))
                labels[place][mask] = len(parts)
        return Segments.in_reading_order(self.writing, labels, np.array(parts))

    def _slices(self, i: int, *, is_cut: bool) -> Iterator[tuple[Mask, float]]:
        """Yields the mask of each slice of a segment, and the ink crossed by the cut before."""
        place = pixels_of(self.boxes[i])
        rest, crossed = self.labels[place] == i + 1, float(self.crossed[i])
        if is_cut:
            ink = np.where(rest, self.writing.ink[place], np.float32(0))
            height = min(self.writing.height, len(ink))
            for first, cost in find_cut_candidates(ink, self.writing.stroke_width, height):
                beyond = np.arange(ink.shape[1]) >= first[:, None]
                yield rest & ~beyond, crossed
                rest, crossed = rest & beyond, cost
        yield rest, crossed
