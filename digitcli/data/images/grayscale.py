"""Reading users' pictures: whatever their format and mode, as grey."""

from pathlib import Path

import numpy as np
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray
from digitcli.data.images.decode import OpenPicture
from digitcli.data.images.downscale import upright
from digitcli.data.images.limits import MAX_PIXELS

_CLEARER = 1.4
"""Times the contrast of the brightness that a colour must have to be taken in its stead; colours
have more grain."""


def read_picture(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Gray:
    """Reads a picture as grey: upright, transparency filled with paper, colours as brightness.

    Args:
        source: A file, or a file's content.
        max_pixels: Pixels that may be decoded; see ``OpenPicture``.

    Returns:
        float32 (height, width) in 0..1, black to white.

    Raises:
        NotAPictureError: Its content is no picture.
        PictureError: It is missing, empty, damaged or too large.
    """
    with OpenPicture(source, max_pixels) as picture:
        return as_grey(picture.decode())


def read_upright(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Reads a picture in its own colours, upright; a large one reduced.

    Args:
        source: A file, or a file's content.
        max_pixels: Pixels that may be decoded.

    Raises:
        NotAPictureError: Its content is no picture.
        PictureError: It is missing, empty, damaged or too large.
    """
    with OpenPicture(source, max_pixels) as picture:
        return picture.decode().copy()  # the picture itself is closed with its file


def grey_of(image: Image.Image) -> tuple[Gray, tuple[int, int]]:
    """Makes a picture in memory grey, as ``read_picture`` does with a file; it stays as it is.

    Returns:
        Its grey, and its width and height as it is seen.

    Raises:
        PictureError: It has no pixels, or is still to be read from a file that is damaged.
    """
    if 0 in image.size:
        raise PictureError("it has no pixels", "give a picture of 1x1 or more")
    try:
        image.load()
        small, size = upright(image)
    except Exception as error:  # Pillow's readers raise anything on damaged files
        raise PictureError(f"it is damaged ({error})", "save it again, or take another") from error
    return as_grey(small), size


def as_grey(image: Image.Image) -> Gray:
    """Brings a decoded picture of any mode to grey, as ``read_picture`` says."""
    if image.mode.startswith(("I", "F")):  # 16 and 32 bits per pixel
        values = np.asarray(image, dtype=np.float32)
        lowest, highest = float(values.min()), float(values.max())
        if not np.isfinite((lowest, highest)).all():
            raise PictureError("it holds values that are no numbers", "save it as PNG")
        if image.mode == "F" or lowest < 0 or highest > 65535:
            wide = values.astype(np.float64)  # the range may be more than float32 holds
            return ((wide - lowest) / max(highest - lowest, 1e-30)).astype(np.float32)
        return values / np.float32(65535 if highest > 255 else 255)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_paper(image.convert("RGBA"))
    if image.mode in ("L", "1"):
        return _brightness(image)
    return _clearest(image.convert("RGB"))


def _brightness(image: Image.Image) -> Gray:
    if image.mode != "L":
        image = image.convert("L")
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _clearest(image: Image.Image) -> Gray:
    """Returns the brightness, or the one of red, green and blue that shows clearly more.

    Yellow ink on white paper is all but invisible in brightness, and dark in blue light.
    """
    brightness = _brightness(image)
    every = max(1, min(brightness.shape) // 250)
    best, most = brightness, _CLEARER * _contrast(brightness[::every, ::every])
    for channel in image.split():
        light = _brightness(channel)
        if (contrast := _contrast(light[::every, ::every])) > most:
            best, most = light, contrast
    return best


def _contrast(grey: Gray) -> float:
    darkest, lightest = np.percentile(grey, (0.5, 99.5))
    return float(lightest - darkest)


def _on_paper(image: Image.Image) -> Gray:
    """Lays a transparent picture on paper that its ink stands out from."""
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / np.float32(255)
    brightness = _brightness(image.convert("RGB"))
    seen = brightness[alpha > 0.5]
    if not seen.size:
        seen = brightness[alpha > 0]
    if not seen.size:
        return np.ones_like(brightness)  # wholly transparent: blank
    if seen.size > brightness.size / 2:  # mostly opaque: the picture has its own paper
        paper = round(255 * float(np.median(seen)))
    else:  # the ink alone is opaque
        paper = 255 if seen.mean() < 0.5 else 0
    sheet = Image.new("RGBA", image.size, (paper, paper, paper, 255))
    return _clearest(Image.alpha_composite(sheet, image).convert("RGB"))
