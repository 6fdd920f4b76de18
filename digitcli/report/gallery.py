"""The report of ``predict``: each image, what the network saw of it, and the answer."""

import heapq
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from digitcli.core.checkpointing.locate import weights_name
from digitcli.core.errors import PictureError
from digitcli.data.arrays import Image28
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.grayscale import to_gray
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.predictions import Prediction, Reading, warning_with_option
from digitcli.report.page import bars, check_page, data_uri, picture_uri, write_page

if TYPE_CHECKING:
    from digitcli.data.images.source import ImageSource

MAX_SHOWN = 1000
"""Maximum number of images on the page: 10 MB, which a browser opens in a second."""

SIDE = 256
"""Maximum pixels of the longer side of an image: sharp, as it is shown half as large."""

_MAX_BARS = 10
"""Maximum number of digits of one image whose probabilities are shown: the least sure ones."""

_Urgency = tuple[int, float, int]
"""2 for an error, 1 for a doubtful answer, else 0; minus the probability; minus the number."""


class Gallery:
    """Collects answers for a page.

    Of more than ``MAX_SHOWN`` images those are kept that most need to be looked at: errors, then
    doubtful answers, then the least probable. Memory stays constant.

    Args:
        path: The page.
        minimum: Minimum probability of an answer; see ``Prediction.reaches``.

    Raises:
        DigitcliError: The page cannot be written.
    """

    def __init__(self, path: Path, minimum: float) -> None:
        check_page(path)
        self._path, self._minimum = path, minimum
        self._cards: list[tuple[_Urgency, dict[str, Any]]] = []  # a heap, the least urgent first
        self._originals: dict[str, bytes | None] = {}
        self._count = self._failed = self._doubtful = 0

    def keep_original(self, name: str, content: bytes) -> None:
        """Keeps a thumbnail of an image that is not a file, before it is read."""
        self._originals[name] = thumbnail(content)

    def add(self, source: "ImageSource", answer: Prediction | Reading | PictureError) -> None:
        """Adds an image with its answer or its error."""
        self._count += 1
        if isinstance(answer, PictureError):
            self._failed += 1
            self._keep((2, 0.0, -self._count), source, answer)
        else:
            doubtful = answer.warning is not None or not answer.reaches(self._minimum)
            self._doubtful += doubtful
            self._keep((int(doubtful), -answer.probability, -self._count), source, answer)

    def _keep(
        self, urgency: _Urgency, source: "ImageSource", answer: Prediction | Reading | PictureError
    ) -> None:
        original = self._originals.pop(source.name, None)
        if len(self._cards) == MAX_SHOWN and urgency < self._cards[0][0]:
            return
        if isinstance(source.content, Path):
            original = thumbnail(source.content)
        values: dict[str, Any] = {"name": source.name, "original": original and data_uri(original)}
        if isinstance(answer, PictureError):
            values["error"] = answer
        else:
            values |= _answer_values(answer)
            values["doubtful"] = urgency[0] == 1
            values["unsure"] = not answer.reaches(self._minimum)
            values["label"] = answer.sure_text(self._minimum)
        add = heapq.heappush if len(self._cards) < MAX_SHOWN else heapq.heapreplace
        add(self._cards, (urgency, values))

    def write(self, checkpoint: Path) -> None:
        """Writes the page, which names the checkpoint.

        Raises:
            DigitcliError: The page cannot be written.
        """
        in_order = sorted(self._cards, key=lambda card: -card[0][2])
        write_page(
            self._path,
            "gallery.html",
            checkpoint=weights_name(checkpoint),
            minimum=self._minimum,
            count=self._count,
            failed=self._failed,
            doubtful=self._doubtful,
            shown=len(in_order),
            cards=(values for _, values in in_order),
        )


def _answer_values(answer: Prediction | Reading) -> dict[str, Any]:
    """Renders an answer: the page needs less memory than a ``Reading``."""
    if isinstance(answer, Prediction):
        return {
            "answer": answer.label,
            "warning": warning_with_option(answer),
            "all_right": None,
            "seen": picture_uri(answer.picture),
            "seen_alt": "Network input, 28 by 28 pixels",
            "bars": bars(answer.probabilities, answer.label),
        }
    digits = [digit.prediction for digit in answer.digits]
    least_sure = sorted(range(len(digits)), key=lambda i: digits[i].probability)[:_MAX_BARS]
    shown = [digits[i] for i in sorted(least_sure)]
    return {
        "answer": answer.text,
        "warning": answer.warning,
        "all_right": answer.probability,
        "digits": len(digits),
        "seen": picture_uri(_tiled([digit.picture for digit in digits])),
        "seen_alt": f"Network inputs of the {len(digits)} digits",
        "bars": [bar for each in shown for bar in bars({each.label: each.probability}, each.label)],
    }


def _tiled(images: list[Image28]) -> Image28:
    """Arranges images of one size in a square of rows and columns."""
    columns = math.ceil(math.sqrt(len(images)))
    filled = [*images, *[np.zeros_like(images[0])] * (-len(images) % columns)]
    return np.vstack([np.hstack(filled[i : i + columns]) for i in range(0, len(filled), columns)])


def thumbnail(source: Path | bytes) -> bytes | None:
    """Returns a PNG of a small image, a JPEG of one that was reduced, or None if unreadable."""
    try:
        with OpenImage(source, MAX_PIXELS) as opened:
            image = _displayable(opened.decode())
    except PictureError:
        return None
    small = max(image.size) <= SIDE
    if not small:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG" if small else "JPEG", quality=80, optimize=True)
    return file.getvalue()


def _displayable(image: Image.Image) -> Image.Image:
    """Converts an image to a mode that browsers show.

    16-bit and transparent images become grayscale as in ``predict``, so that their values and their
    background are interpreted in the same way.
    """
    if image.mode.startswith(("I", "F")) or image.has_transparency_data:
        return Image.fromarray(np.rint(to_gray(image) * 255).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
