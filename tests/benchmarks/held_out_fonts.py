"""Printed digits of the font families that training leaves out."""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from media import in_photo, on_paper, on_screen
from PIL import Image
from scenery import Rng, between, some_size
from traced_digits import Field, Size

from digitcli.data.datasets.glyphs import VALIDATION, digit_faces

Medium = Callable[[Rng, Field], bytes]

_MARGIN = 8
"""Pixels around a glyph when it is enlarged."""
_EDGE = 2.0
"""Width in pixels of the edge of an enlarged glyph."""


@functools.cache
def faces() -> tuple[tuple[str, npt.NDArray[np.uint8]], ...]:
    """Returns the name of each face and its digits, light on black."""
    return tuple((f"{face.family} {face.style}", face.cells) for face in digit_faces(VALIDATION))


def glyph(rng: Rng, cell: npt.NDArray[np.uint8], size: Size) -> Field:
    """Enlarges a glyph with sharp edges, and places it near the middle of an image."""
    ink = np.pad(cell, _MARGIN)
    rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    scale = min(size) * between(rng, 0.4, 0.8) / longest
    side = max(1, round(len(ink) * scale))
    large = Image.fromarray(ink).resize((side, side), Image.Resampling.BICUBIC)
    turned = large.rotate(between(rng, -3, 3), Image.Resampling.BICUBIC)
    level = (np.asarray(turned, np.float32) / 255 - 0.5) * max(1.0, scale / _EDGE) + 0.5
    share = np.zeros((size[1], size[0]), np.float32)
    left, top = (
        round(extent / 2 - side / 2 + between(rng, -0.08, 0.08) * extent) for extent in size
    )
    to = share[max(top, 0) : max(top, 0) + side, max(left, 0) : max(left, 0) + side]
    cut = level.clip(0, 1)[max(-top, 0) :, max(-left, 0) :][: to.shape[0], : to.shape[1]]
    to[: cut.shape[0], : cut.shape[1]] = cut
    return share


MEDIA: dict[str, Medium] = {
    "font-on-screen": on_screen,
    "font-on-paper": on_paper,
    "font-in-photo": in_photo,
}


def font_picture(name: str, rng: Rng, index: int) -> tuple[str, str, bytes]:
    """Returns the face, the digit and the file: a digit of each face, then another of each."""
    turn, number = divmod(index, len(faces()))
    face, cells = faces()[number]
    digit = (turn + number) % 10
    size = some_size(rng, 40, 900)
    return face, str(digit), MEDIA[name](rng, glyph(rng, cells[digit], size))
