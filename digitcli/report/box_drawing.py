"""A picture of several digits with a box around each, and below it what the network saw of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digitcli.data.arrays import Gray, Image28

_SIDES = (600, 1400)
"""Pixels of the drawn picture's longer side at least and at most."""

_GAP, _TILE, _CAPTION, _NAME = 12, 84, 22, 17
"""Pixels; three times 28, so that what the network saw is in squares."""

_BACKGROUND, _TEXT, _BOX = (64, 64, 72), (235, 235, 235), (255, 64, 64)


@dataclass(frozen=True)
class Mark:
    """A digit to be marked.

    Attributes:
        box: Left, top, right and bottom, in pixels of the picture as it is seen.
        caption: What it was read as.
        picture: What the network saw, uint8 (28, 28).
    """

    box: tuple[int, int, int, int]
    caption: str
    picture: Image28


def draw_marks(grey: Gray, size: tuple[int, int], marks: Sequence[Mark]) -> Image.Image:
    """Draws boxes on a picture, their captions and what is in them below, numbered alike.

    Args:
        grey: float32 (height, width) in 0..1, perhaps reduced.
        size: Width and height of the picture as it is seen.
        marks: In reading order.
    """
    longest = int(np.clip(max(size), *_SIDES))
    factor = longest / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    across = max(width, 4 * (_TILE + _GAP))
    columns = (across + _GAP) // (_TILE + _GAP)
    tall = _TILE + _CAPTION + _GAP
    rows = -(-len(marks) // columns)
    sheet = Image.new("RGB", (across + 2 * _GAP, height + 2 * _GAP + rows * tall), _BACKGROUND)
    image = Image.fromarray(np.rint(grey.clip(0, 1) * 255).astype(np.uint8))
    sheet.paste(image.resize((width, height)), (_GAP, _GAP))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, mark in enumerate(marks):
        left, top, right, bottom = (_GAP + round(side * factor) for side in mark.box)
        draw.rectangle((left - 1, top - 1, right, bottom), outline=_BOX, width=2)
        name = str(number + 1)
        above = max(0, top - _NAME)
        draw.rectangle((left - 1, above, left + 9 * len(name) + 3, above + _NAME), fill=_BOX)
        draw.text((left + 2, above), name, (255, 255, 255), font)
        x = _GAP + number % columns * (_TILE + _GAP)
        y = height + 2 * _GAP + number // columns * tall
        draw.text((x, y), f"{name}: {mark.caption}", _TEXT, font)
        seen = Image.fromarray(mark.picture)
        sheet.paste(seen.resize((_TILE, _TILE), Image.Resampling.NEAREST), (x, y + _CAPTION))
    return sheet
