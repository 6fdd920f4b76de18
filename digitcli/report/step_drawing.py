"""The steps of a picture's preparation, side by side in one picture."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.atomic import check_writable, write_atomically
from digitcli.data.images.decode import FORMATS

_TILE, _GAP, _CAPTION = 196, 12, 26
"""Pixels; seven times 28, so that the last step's pixels are squares."""


class Steps:
    """Collects the steps of ``prepare``, which is given this as its ``watch``."""

    def __init__(self) -> None:
        self._tiles: list[tuple[str, Image.Image]] = []

    def __call__(self, name: str, stage: npt.NDArray[Any]) -> None:
        """Adds a step: float32 in 0..1 or uint8, of any size."""
        levels = stage if stage.dtype == np.uint8 else np.rint(stage.clip(0, 1) * 255)
        image = Image.fromarray(levels.astype(np.uint8))
        factor = _TILE / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        smooth = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
        self._tiles.append((name, image.resize(size, smooth)))

    def __len__(self) -> int:
        """Steps so far."""
        return len(self._tiles)

    def save(self, path: Path) -> None:
        """Writes them as a picture, in the format that the name's ending says.

        Raises:
            DigitcliError: The ending is of no format that digitcli reads, or the file cannot be
                written.
        """
        width = len(self._tiles) * (_TILE + _GAP) + _GAP
        sheet = Image.new("RGB", (width, _TILE + _CAPTION + 2 * _GAP), (64, 64, 72))
        draw = ImageDraw.Draw(sheet)
        font = ImageFont.load_default(15)
        for number, (name, tile) in enumerate(self._tiles):
            left = _GAP + number * (_TILE + _GAP)
            draw.text((left, _GAP), f"{number + 1}. {name}", fill=(235, 235, 235), font=font)
            sheet.paste(
                tile,
                (left + (_TILE - tile.width) // 2, _GAP + _CAPTION + (_TILE - tile.height) // 2),
            )
        save_drawing(sheet, path)


def save_drawing(drawing: Image.Image, path: Path) -> None:
    """Writes a picture for ``--show-steps``, in the format that the name's ending says.

    Raises:
        DigitcliError: As ``Steps.save`` says.
    """
    try:
        write_atomically(path, lambda file: drawing.save(file, _format(path)))
    except OSError as error:
        raise _unwritable(path, error) from error


def check_destination(path: Path) -> None:
    """Makes sure, before the work, that steps can be written.

    Raises:
        DigitcliError: As ``Steps.save`` would.
    """
    _format(path)
    try:
        check_writable(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _format(path: Path) -> str:
    format_ = Image.registered_extensions().get(path.suffix.lower(), "")
    if format_ not in FORMATS:
        raise DigitcliError(f"cannot write pictures as {path.name}", "name it steps.png")
    return format_


def _unwritable(path: Path, error: OSError) -> DigitcliError:
    return DigitcliError(
        f"cannot write {path}: {error_reason(error)}", "choose another place by --show-steps"
    )
