"""The page that shows pictures, what the network saw of them, and how they were read."""

import heapq
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitcli import __version__
from digitcli.core.errors import PictureError
from digitcli.data.thumbnail import thumbnail
from digitcli.report.page import bars, check_page, data_uri, picture_uri, write_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from digitcli.classifier import Prediction
    from digitcli.data.reading import Source

MOST = 1000
"""Pictures that are shown at most: a page of ten megabytes, which a browser opens in a second."""

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

    def watch(self, sources: "Iterable[Source | None]") -> "Iterator[Source | None]":
        """Passes sources on; of those that come without a file it keeps what they look like."""
        for source in sources:
            if source is not None and isinstance(source.content, bytes):
                self._contents[source.name] = thumbnail(source.content)
            yield source

    def add(self, source: "Source", answer: "Prediction | PictureError") -> None:
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
            {"prediction": answer, "doubted": doubted, "label": "?" if unsure else answer.label},
        )

    def _keep(self, urgency: _Urgency, source: "Source", values: dict[str, Any]) -> None:
        if len(self._shown) == MOST and urgency < self._shown[0].urgency:
            return
        content = (
            thumbnail(source.content)
            if isinstance(source.content, Path)
            else self._contents.pop(source.name, None)
        )
        values |= {"name": source.name, "original": content and data_uri(content)}
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
            cards=(_card(shown.values) for shown in in_order),
        )


def _card(values: dict[str, Any]) -> dict[str, Any]:
    """Draws what is kept of an answer, which is less than what the page holds of it."""
    if "error" in values:
        return values
    prediction = values["prediction"]
    return {
        **values,
        "seen": picture_uri(prediction.picture),
        "bars": bars(prediction.probabilities, prediction.label),
    }
