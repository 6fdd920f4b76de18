"""A small version of a user's image: upright, in its own colours."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.grayscale import to_gray
from digitcli.data.images.limits import MAX_PIXELS

SIDE = 256
"""Maximum pixels of the longer side; the page shows it half as large, so it is sharp."""


def thumbnail(source: Path | bytes) -> bytes | None:
    """Returns a PNG of a small image, or a JPEG of one that was reduced; None if unreadable.

    Args:
        source: A file, or the content of a file.
    """
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

    16-bit and transparent images become grayscale as in ``predict``, so that values and background
    are interpreted the same way.
    """
    if image.mode.startswith(("I", "F")) or image.has_transparency_data:
        return Image.fromarray(np.rint(to_gray(image) * 255).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
