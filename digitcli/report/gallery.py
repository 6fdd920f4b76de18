"""The page that shows pictures, what the network saw of them, and how they were read."""

import heapq
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from digitcli._version import __version__
from digitcli.core.errors import PictureError
from digitcli.predictions import Prediction, Reading
from digitcli.report.page import bars, check_page, data_uri, picture_uri, write_page
from digitcli.report.thumbnail import thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from digitcli.data.images.pipeline import ImageSource

MOST = 1000
"""Pictures that are shown at most: a page of ten megabytes, which a browser opens in a second."""

_MOST_BARS = 10
"""Digits of a picture of several whose probabilities are shown at most, the least sure ones."""

_Urgency = tuple[int, float, int]


@dataclass(frozen=True)
class _Shown:
    """A picture on the page; ordered by how much it needs to be looked at, the least first."""

    urgency: _Urgency
    values: dict[str, Any]

    def __lt__(self, other: "_Shown") -> bool:
        return self.urgency < other.urgency


class Gallery:
    """Collects answers for a page.

    Of more pictures than ``MOST`` it keeps those that most need to be looked at: what failed, then
    what is in doubt, then the least probable. So it takes the same memory for any number.

    Args:
        path: The page.
        minimum: What an answer has to reach so as not to be ``?``; see ``Prediction.reaches``.

    Raises:
        DigitcliError: The page cannot be written.
    """

    def __init__(self, path: Path, minimum: float) -> None:
        check_page(path)
        self._path, self._minimum = path, minimum
        self._shown: list[_Shown] = []
        self._contents: dict[str, bytes | None] = {}
        self._count = self._failed = self._doubted = 0

    def watch(self, sources: "Iterable[ImageSource | None]") -> "Iterator[ImageSource | None]":
        """Passes sources on; of those that come without a file it keeps what they look like."""
        for source in sources:
            if source is not None and isinstance(source.content, bytes):
                self._contents[source.name] = thumbnail(source.content)
            yield source

    def add(self, source: "ImageSource", answer: "Prediction | Reading | PictureError") -> None:
        """Takes a picture in, with what it was read as or what is wrong with it."""
        self._count += 1
        if isinstance(answer, PictureError):
            self._failed += 1
            self._keep((2, 0.0, -self._count), source, {"error": answer})
            return
        unsure = not answer.reaches(self._minimum)
        doubted = unsure or answer.warning is not None
        self._doubted += doubted
        self._keep(
            (int(doubted), -answer.probability, -self._count),
            source,
            {
                "answer": answer,
                "unsure": unsure,
                "doubted": doubted,
                "label": answer.sure_text(self._minimum),
            },
        )

    def _keep(self, urgency: _Urgency, source: "ImageSource", values: dict[str, Any]) -> None:
        if len(self._shown) == MOST and urgency < self._shown[0].urgency:
            return
        content = (
            thumbnail(source.content)
            if isinstance(source.content, Path)
            else self._contents.pop(source.name, None)
        )
        values |= {"name": source.name, "original": content and data_uri(content)}
        if "answer" in values:
            values |= _drawn(values.pop("answer"))
        shown = _Shown(urgency, values)
        if len(self._shown) < MOST:
            heapq.heappush(self._shown, shown)
        else:
            heapq.heapreplace(self._shown, shown)

    def write(self, checkpoint: Path) -> None:
        """Writes the page.

        Args:
            checkpoint: Where the weights came from.

        Raises:
            DigitcliError: It cannot be written.
        """
        in_order = sorted(self._shown, key=lambda shown: -shown.urgency[2])
        write_page(
            self._path,
            "gallery.html",
            version=__version__,
            checkpoint=str(checkpoint),
            minimum=self._minimum,
            count=self._count,
            failed=self._failed,
            doubted=self._doubted,
            shown=len(in_order),
            cards=(shown.values for shown in in_order),
        )


def _drawn(answer: Prediction | Reading) -> dict[str, Any]:
    """Draws an answer: what the page holds of it, which for a Reading is less than all."""
    if isinstance(answer, Prediction):
        return {
            "answer": answer.label,
            "warning": answer.warning,
            "all_right": None,
            "seen": picture_uri(answer.picture),
            "seen_alt": "What the network saw of it, 28 by 28 pixels",
            "bars": bars(answer.probabilities, answer.label),
        }
    digits = [digit.prediction for digit in answer.digits]
    least_sure = sorted(range(len(digits)), key=lambda i: digits[i].probability)[:_MOST_BARS]
    return {
        "answer": answer.text,
        "warning": answer.warning,
        "all_right": answer.probability,
        "digits": len(digits),
        "seen": picture_uri(_side_by_side([digit.picture for digit in digits])),
        "seen_alt": f"What the network saw of its {len(digits)} digits",
        "bars": [
            {
                "name": digits[i].label,
                "probability": digits[i].probability,
                "answer": True,
                "target": False,
            }
            for i in sorted(least_sure)
        ],
    }


def _side_by_side(pictures: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Sets pictures of one size into rows, as wide as they are high together."""
    columns = math.ceil(math.sqrt(len(pictures)))
    empty = [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    filled = [*pictures, *empty]
    return np.vstack([np.hstack(filled[i : i + columns]) for i in range(0, len(filled), columns)])
