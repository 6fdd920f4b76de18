"""Setting decoded pictures upright, and reducing large ones."""

from PIL import Image

from digitcli.data.images.limits import LARGEST_SIDE, ORIENTATION

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its orientation in EXIF."""

_ON_ITS_SIDE = range(5, 9)
"""Orientations that swap width and height."""

_BAND = 2**20
"""Pixels of a band, or somewhat more."""


def upright(
    image: Image.Image, whole: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Turns a loaded picture as its EXIF says, where that can be read; a large one is reduced.

    Args:
        image: The picture.
        whole: Its width and height in its file, where it was decoded smaller.

    Returns:
        The picture, or itself where nothing is to be done, and the width and height that it had
        when it was upright but not reduced.
    """
    width, height = whole or image.size
    orientation, small = _orientation(image), reduced(image)
    size = (height, width) if orientation in _ON_ITS_SIDE else (width, height)
    turn = _TURNS.get(orientation)
    return small if turn is None else small.transpose(turn), size


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001  Pillow's readers raise anything
        return 1


def reduction(size: tuple[int, int]) -> int:
    """Says how many pixels of a picture, in each direction, ``reduced`` makes one of."""
    return max(1, max(size) // LARGEST_SIDE)


def reduced(image: Image.Image) -> Image.Image:
    """Averages pixels of a large picture, a band at a time: the copies that it takes are small."""
    factor = reduction(image.size)
    if factor == 1:
        return image
    rows = factor * max(1, _BAND // (factor * image.width))
    bands = [
        _in_levels(image.crop((0, top, image.width, min(image.height, top + rows)))).reduce(factor)
        for top in range(0, image.height, rows)
    ]
    height = sum(band.height for band in bands)
    small = Image.new(bands[0].mode, (bands[0].width, height))
    small.info = bands[0].info
    for i, band in enumerate(bands):
        small.paste(band, (0, i * rows // factor))
    return small


def _in_levels(image: Image.Image) -> Image.Image:
    """Brings a mode whose values cannot be averaged to one where they can."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("I") if image.mode.startswith("I;16") else image
