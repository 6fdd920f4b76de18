"""The drawing of ``predict --show-steps``: the steps of preparation, or a box around each digit."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcli.classifier import Classifier
from digitcli.core.errors import DigitcliError, PictureError
from digitcli.core.files.atomic import check_writable, write_atomically, write_errors
from digitcli.data.arrays import Box, Gray, Image28
from digitcli.data.images.grayscale import read_gray
from digitcli.data.images.source import ImageSource
from digitcli.predictions import PlacedDigit, Prediction, Reading
from digitcli.text import percent

_BACKGROUND, _TEXT, _WHITE, _RED = (64, 64, 72), (235, 235, 235), (255, 255, 255), (255, 64, 64)

_GAP = 12
_STEP, _STEP_CAPTION = 196, 26
_DIGIT, _DIGIT_CAPTION, _NUMBER, _FONT_SIZE = 84, 22, 17, 15
"""Pixels; 196 and 84 are multiples of 28, so that the pixels of an input are squares."""

_MIN_SIDE, _MAX_SIDE = 600, 1400
"""Pixels of the longer side of an image with boxes."""

_NEXT_STEP = "choose another place with --show-steps"

_FORMATS = {
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Format of a drawing by extension. Pillow writes others in a format that the extension does not
name, such as JP2 as .j2c, or reduced, as .ico."""


def draw_answer(
    classifier: Classifier,
    source: ImageSource,
    answer: Prediction | Reading | PictureError,
    max_pixels: int,
    *,
    multi: bool,
) -> Image.Image | None:
    """Draws how an image was prepared, as far as that went, or with ``multi`` its digits.

    The image, a file, is decoded again; if it could not be decoded, nothing is drawn. An error that
    is the answer was reported before.

    Returns:
        The drawing, or None if there is nothing to draw.

    Raises:
        PictureError: The image was read, but cannot be read again.
    """
    if not all(source.size):
        return None
    steps = Steps()
    try:
        gray = read_gray(Path(source.name), max_pixels)
        if multi:
            digits = answer.digits if isinstance(answer, Reading) else ()
            return draw_marks(gray, source.size, [_mark(digit) for digit in digits])
        classifier.prepare(gray, steps)
    except PictureError as error:
        if not isinstance(answer, PictureError):
            raise error.with_name(source.name) from error
    return steps.draw() if steps else None  # of a blank image, the steps that led to the error


def check_drawing(path: Path) -> None:
    """Checks, before any work, that a drawing can be written.

    Raises:
        DigitcliError: The extension is none of ``_FORMATS``, or the file cannot be written.
    """
    _format(path)
    with write_errors(path, _NEXT_STEP):
        check_writable(path)


def _format(path: Path) -> str:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        problem = f"cannot write images as {path.name}"
        raise DigitcliError(problem, "name it steps.png") from None


def save_drawing(drawing: Image.Image, path: Path) -> None:
    """Writes a drawing; raises as ``check_drawing``."""
    format_ = _format(path)
    with write_errors(path, _NEXT_STEP):
        write_atomically(path, lambda file: drawing.save(file, format_))


class Steps:
    """Collects the steps of ``prepare``, passed to it as ``on_step``."""

    def __init__(self) -> None:
        self._tiles: list[tuple[str, Image.Image]] = []

    def __call__(self, name: str, stage: npt.NDArray[Any]) -> None:
        """Adds an image of any size: float32 in 0..1, or uint8."""
        image = _image(stage)
        factor = _STEP / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        resampling = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
        self._tiles.append((name, image.resize(size, resampling)))

    def __len__(self) -> int:
        """Returns the number of steps."""
        return len(self._tiles)

    def draw(self) -> Image.Image:
        """Returns the steps side by side."""
        width = len(self._tiles) * (_STEP + _GAP) + _GAP
        sheet, draw, font = _canvas(width, _STEP + _STEP_CAPTION + 2 * _GAP)
        for i, (name, tile) in enumerate(self._tiles):
            x, y = _GAP + i * (_STEP + _GAP), _GAP + _STEP_CAPTION
            draw.text((x, _GAP), _spaced(f"{i + 1}. {name}"), _TEXT, font)
            sheet.paste(tile, (x + (_STEP - tile.width) // 2, y + (_STEP - tile.height) // 2))
        return sheet


class Mark(NamedTuple):
    """A digit to mark: its box in the upright image, the answer, and the network's input."""

    box: Box
    caption: str
    picture: Image28


def _mark(digit: PlacedDigit) -> Mark:
    answer = digit.prediction
    return Mark(digit.box, f"{answer.label} {percent(answer.probability)}", answer.picture)


def draw_marks(gray: Gray, size: tuple[int, int], marks: Sequence[Mark]) -> Image.Image:
    """Draws numbered boxes on an image, and below it the captions and inputs of the digits.

    Args:
        gray: The image; it may be reduced.
        size: Width and height of the upright image.
        marks: The digits in reading order.
    """
    factor = int(np.clip(max(size), _MIN_SIDE, _MAX_SIDE)) / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    captions = [_spaced(f"{number}: {mark.caption}") for number, mark in enumerate(marks, 1)]
    font = ImageFont.load_default(_FONT_SIZE)
    column = max([_DIGIT, *(ceil(font.getlength(each)) for each in captions)]) + _GAP
    across = max(width, 4 * column)
    columns = (across + _GAP) // column
    row_height = _DIGIT + _DIGIT_CAPTION + _GAP
    rows = -(-len(marks) // columns)
    sheet, draw, _ = _canvas(across + 2 * _GAP, height + 2 * _GAP + rows * row_height)
    sheet.paste(_image(gray).resize((width, height)), (_GAP, _GAP))
    for i, mark in enumerate(marks):
        left, top, right, bottom = (_GAP + round(side * factor) for side in mark.box)
        draw.rectangle((left - 1, top - 1, right, bottom), outline=_RED, width=2)
        number = str(i + 1)
        above = max(0, top - _NUMBER)
        draw.rectangle((left - 1, above, left + 9 * len(number) + 3, above + _NUMBER), fill=_RED)
        draw.text((left + 2, above), number, _WHITE, font)
        x = _GAP + i % columns * column
        y = height + 2 * _GAP + i // columns * row_height
        draw.text((x, y), captions[i], _TEXT, font)
        tile = Image.fromarray(mark.picture).resize((_DIGIT, _DIGIT), Image.Resampling.NEAREST)
        sheet.paste(tile, (x, y + _DIGIT_CAPTION))
    return sheet


def _spaced(text: str) -> str:
    """Returns a caption with wider spaces: those of Pillow's font are hardly seen after a T."""
    return text.replace(" ", "  ")


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, Any]:
    """Returns an empty sheet, what draws on it, and a font."""
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    return sheet, ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)


def _image(pixels: npt.NDArray[Any]) -> Image.Image:
    """Converts uint8, or floats in 0..1, to an image."""
    levels = pixels if pixels.dtype == np.uint8 else np.rint(pixels.clip(0, 1) * 255)
    return Image.fromarray(levels.astype(np.uint8))
