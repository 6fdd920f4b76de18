"""Reading images of any format and mode as grayscale."""

from pathlib import Path

import numpy as np
from PIL import Image

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.downscale import upright
from digitcli.data.images.limits import MAX_PIXELS

_MIN_CONTRAST_GAIN = 1.4
"""Minimum contrast of a color channel, as a multiple of the contrast of the brightness, for the
channel to be used: channels have more noise."""


def read_gray(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Gray:
    """Reads an image as grayscale: upright, transparency filled with background.

    Args:
        source: A file, or the content of a file.
        max_pixels: Maximum number of pixels; see ``OpenImage``.

    Raises:
        NotAPictureError: The content is not an image.
        PictureError: The file is missing, empty, damaged or too large.
    """
    with OpenImage(source, max_pixels) as image:
        return to_gray(image.decode())


def gray_and_size(image: Image.Image) -> tuple[Gray, tuple[int, int]]:
    """Converts an image in memory as ``read_gray`` does a file, without changing it.

    Returns:
        The grayscale image, and the width and height of the upright image, not reduced.

    Raises:
        PictureError: The image has no pixels, or is not loaded yet and its file is damaged.
    """
    if 0 in image.size:
        raise PictureError("the image has no pixels", "give an image of 1x1 or more")
    try:
        image.load()
        small, size = upright(image)
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise PictureError(
            f"the image is damaged ({error})", "save it again, or use another"
        ) from error
    return to_gray(small), size


def to_gray(image: Image.Image) -> Gray:
    """Converts a decoded image of any mode to grayscale.

    Raises:
        PictureError: A pixel is NaN or infinite.
    """
    if image.mode.startswith(("I", "F")):  # 16 and 32 bits per pixel
        values = np.asarray(image, dtype=np.float32)
        lowest, highest = float(values.min()), float(values.max())
        if not np.isfinite((lowest, highest)).all():
            raise PictureError("the image holds values that are not numbers", "save it as PNG")
        if image.mode == "F" or lowest < 0 or highest > 65535:
            wide = values.astype(np.float64)  # the range may exceed float32
            return ((wide - lowest) / max(highest - lowest, 1e-30)).astype(np.float32)
        return values / np.float32(65535 if highest > 255 else 255)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_background(image.convert("RGBA"))
    if image.mode in ("L", "1"):
        return _brightness(image)
    return _clearest_channel(image.convert("RGB"))


def _brightness(image: Image.Image) -> Gray:
    if image.mode != "L":
        image = image.convert("L")
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _clearest_channel(image: Image.Image) -> Gray:
    """Returns the brightness, or red, green or blue if its contrast is clearly higher.

    Yellow ink on white paper is almost invisible in the brightness, and dark in the blue channel.
    """
    best = _brightness(image)
    step = max(1, min(best.shape) // 250)
    threshold = _MIN_CONTRAST_GAIN * _contrast(best[::step, ::step])
    for band in image.split():
        channel = _brightness(band)
        if (contrast := _contrast(channel[::step, ::step])) > threshold:
            best, threshold = channel, contrast
    return best


def _contrast(gray: Gray) -> float:
    darkest, lightest = np.percentile(gray, (0.5, 99.5))
    return float(lightest - darkest)


def _on_background(image: Image.Image) -> Gray:
    """Lays a transparent image on a background that contrasts with its ink."""
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / np.float32(255)
    brightness = _brightness(image.convert("RGB"))
    visible = brightness[alpha > 0.5]
    if not visible.size:
        visible = brightness[alpha > 0]
    if not visible.size:
        return np.ones_like(brightness)  # fully transparent: blank
    if visible.size > brightness.size / 2:  # mostly opaque: the image has its own background
        background = round(255 * float(np.median(visible)))
    else:  # only the ink is opaque
        background = 255 if visible.mean() < 0.5 else 0
    canvas = Image.new("RGBA", image.size, (background, background, background, 255))
    return _clearest_channel(Image.alpha_composite(canvas, image).convert("RGB"))
