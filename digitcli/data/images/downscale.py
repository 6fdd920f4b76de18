"""Turning decoded images upright, and reducing large ones."""

from PIL import Image

from digitcli.data.images.limits import MAX_SIDE, ORIENTATION_TAG

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image upright, by its EXIF orientation."""

_SIDEWAYS = range(5, 9)
"""Orientations that swap width and height."""

_BAND_PIXELS = 2**20
"""Approximate number of pixels of a band."""


def upright(
    image: Image.Image, full_size: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Turns a loaded image upright by its EXIF orientation, and reduces a large one.

    Args:
        image: The image; returned itself if there is nothing to do.
        full_size: Width and height of the image in its file, if it was decoded smaller.

    Returns:
        The image, and the width and height of the upright image, not reduced.
    """
    width, height = full_size or image.size
    orientation, small = _orientation(image), _reduced(image)
    size = (height, width) if orientation in _SIDEWAYS else (width, height)
    transposition = _TRANSPOSITIONS.get(orientation)
    return small if transposition is None else small.transpose(transposition), size


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and not image.info:
        return 1  # looking for it takes a tenth of the time of a small image
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001  Pillow raises anything on damaged metadata
        return 1


def reduction_factor(size: tuple[int, int]) -> int:
    """Returns the number of pixels in each direction that ``upright`` averages to one."""
    return max(1, max(size) // MAX_SIDE)


def _reduced(image: Image.Image) -> Image.Image:
    """Reduces a large image by averaging, one band at a time to keep the copies small."""
    factor = reduction_factor(image.size)
    if factor == 1:
        return image
    rows = factor * max(1, _BAND_PIXELS // (factor * image.width))
    tops = range(0, image.height, rows)
    crops = (image.crop((0, top, image.width, min(image.height, top + rows))) for top in tops)
    bands = [_averageable(crop).reduce(factor) for crop in crops]
    small = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    small.info = bands[0].info
    for i, band in enumerate(bands):
        small.paste(band, (0, i * rows // factor))
    return small


def _averageable(image: Image.Image) -> Image.Image:
    """Converts modes whose values cannot be averaged: black and white, palettes, 16 bits."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("I") if image.mode.startswith("I;16") else image
