"""A picture of several digits in parts: pieces of ink, and where digits touch, pieces of those."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from digitcli.data.arrays import Boxes, Floats, Image28, Ink, Labels, Mask
from digitcli.data.preprocessing.mnist_form import VISIBLE, centre, crop, fit, thicken
from digitcli.data.segmentation.cut_candidates import find_cuts


@dataclass(frozen=True)
class Sheet:
    """What does not change however a page is parted.

    Attributes:
        ink: float32 (height, width), 0 for paper and 1 for full ink.
        height: Of a typical digit, in pixels.
        pen: Width of strokes, in pixels.
        corner: Row and column of the picture where ink begins.
        whole: The picture itself, where it is in MNIST's form.
    """

    ink: Ink
    height: float
    pen: float
    corner: tuple[int, int] = (0, 0)
    whole: Image28 | None = None


@dataclass(frozen=True)
class Page:
    """A picture's ink in parts, numbered in reading order.

    Attributes:
        sheet: The ink.
        labels: int32 (height, width), 0 for paper and ``i + 1`` for part i.
        rows: int (parts,), which row of writing each part stands in.
        crossed: float (parts,): where a part was cut from the one before it, the ink that the cut
            crosses in widths of the pen; NaN elsewhere.
        boxes: int (parts, 4): top, left, bottom and right of the ink, the last two exclusive.
    """

    sheet: Sheet
    labels: Labels
    rows: Boxes
    crossed: Floats
    boxes: Boxes

    @classmethod
    def of(
        cls,
        sheet: Sheet,
        labels: Labels,
        rows: Sequence[int],
        crossed: Sequence[float],
        middles: Sequence[float],
    ) -> "Page":
        """Numbers parts in reading order.

        Args:
            sheet: The ink.
            labels: int32 (height, width), as ``labels`` above but in any order.
            rows: Of each part, as above.
            crossed: Of each part, as above.
            middles: Where each part is in its row, as a column.
        """
        count = len(rows)
        order = np.lexsort((middles, rows))
        names = np.zeros(count + 1, np.int32)
        names[order + 1] = np.arange(count) + 1
        labels = names[labels]
        at = np.nonzero((labels > 0) & (sheet.ink > VISIBLE))
        boxes = np.empty((count, 4), np.int64)
        boxes[:, :2], boxes[:, 2:] = max(labels.shape), 0
        for side in (0, 1):
            np.minimum.at(boxes[:, side], labels[at] - 1, at[side])
            np.maximum.at(boxes[:, 2 + side], labels[at] - 1, at[side] + 1)
        return cls(sheet, labels, np.array(rows)[order], np.array(crossed)[order], boxes)

    def __len__(self) -> int:
        """Number of parts."""
        return len(self.boxes)

    def box(self, first: int, end: int) -> tuple[int, int, int, int]:
        """Returns the box around parts, from ``first`` up to ``end``: top, left, bottom, right."""
        boxes = self.boxes[first:end]
        top, left = boxes[:, :2].min(axis=0).tolist()
        bottom, right = boxes[:, 2:].max(axis=0).tolist()
        return top, left, bottom, right

    def picture(self, first: int, end: int) -> Image28:
        """Brings parts, from ``first`` up to ``end``, to MNIST's form as one digit."""
        if self.sheet.whole is not None and end - first == len(self):
            return self.sheet.whole
        top, left, bottom, right = self.box(first, end)
        labels = self.labels[top:bottom, left:right]
        ink = self.sheet.ink[top:bottom, left:right]
        return centre(fit(thicken(crop(np.where((labels > first) & (labels <= end), ink, 0)))))

    def cut(self, chosen: Collection[int]) -> "Page":
        """Cuts parts wherever digits might be parted in them."""
        labels = np.zeros_like(self.labels)
        rows: list[int] = []
        crossed: list[float] = []
        middles: list[float] = []
        for i in range(len(self)):
            latest = -np.inf
            top, left, bottom, right = self.boxes[i]
            seen = self.sheet.ink[top:bottom, left:right] > VISIBLE
            for mask, cost in self._slices(i, whole=i not in chosen):
                columns = np.flatnonzero((mask & seen).any(axis=0))
                if not len(columns):
                    continue
                # what was to the right of a cut stays there, however its box lies
                latest = max(latest + 1e-3, (columns[0] + columns[-1]) / 2)
                rows.append(int(self.rows[i]))
                crossed.append(cost)
                middles.append(left + latest)
                labels[top:bottom, left:right][mask] = len(rows)
        return Page.of(self.sheet, labels, rows, crossed, middles)

    def _slices(self, i: int, *, whole: bool) -> Iterator[tuple[Mask, float]]:
        """Cuts a part, and says of each slice what the cut before it crosses."""
        top, left, bottom, right = self.boxes[i]
        mask = self.labels[top:bottom, left:right] == i + 1
        cuts = []
        if not whole:
            ink = np.where(mask, self.sheet.ink[top:bottom, left:right], np.float32(0))
            cuts = find_cuts(ink, self.sheet.pen, min(self.sheet.height, bottom - top))
        columns = np.arange(right - left)
        rest = mask
        cost = float(self.crossed[i])
        for cut in cuts:
            beyond = columns >= cut.columns[:, None]
            yield rest & ~beyond, cost
            rest, cost = rest & beyond, cut.ink
        yield rest, cost
