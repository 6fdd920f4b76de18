"""A user's picture as a person would know it again: small, upright, in its own colours."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.images.grayscale import as_grey, read_upright

SIDE = 256
"""Pixels of the longer side at most: sharp where it is shown half as large."""

_QUALITY = 80


def thumbnail(source: Path | bytes) -> bytes | None:
    """Makes a small picture of a picture.

    Args:
        source: A file, or a file's content.

    Returns:
        The content of a PNG file, where nothing had to be reduced, or of a JPEG file; None where
        the picture cannot be read.
    """
    try:
        image = _plain(read_upright(source))
    except PictureError:
        return None
    small = max(image.size) <= SIDE
    if not small:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG" if small else "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """Brings a picture to a mode that browsers show.

    Where that takes a decision, it is the one that ``predict`` takes: what 16 bits mean, and what
    paper is under a transparent picture. Such are grey.
    """
    if image.mode.startswith(("I", "F")) or image.has_transparency_data:
        return Image.fromarray(np.rint(as_grey(image) * 255).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
