"""What decoding a picture costs, judged from its head before it is done.

Help pages tell of the limit, so Pillow is not imported where it is not used.
"""

import math
import re
import struct
from typing import TYPE_CHECKING, BinaryIO

from digitcli.core.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 100_000_000
"""More than a camera of 64 megapixels takes, or than a page has that is scanned with 900 dots to
the inch; decoded they take 400 MB."""

PIXEL = 4
"""Bytes that a pixel takes in most modes: so many times the pixels allowed may a picture cost."""

LARGEST_SIDE = 1000
"""Pixels; a digit in a larger photo is reduced first: 20 of them is all that it will have."""

ORIENTATION = 0x0112
"""The number of this tag in EXIF and in TIFF."""

_NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes that a pixel takes in the other modes."""

_WHOLE = {"WEBP": 18, "AVIF": 24, "JPEG2000": 30}
"""Bytes a pixel of decoders that hold the whole picture several times over: measured, and for the
last two more than that, for depths that were not."""

_SLOW = 200
"""What a pixel counts for that is decoded in Python, in bytes: it takes a microsecond or two."""

_LARGEST_ICON = 2**21
"""Bytes of an icon, and pixels of a picture in it: ICO files are decoded when they are opened."""

_MOST_PASSES = 12
"""Passes of a JPEG over as many pixels as are allowed; progressive ones have about ten."""

_ICON_SIZE = re.compile(rb"IHDR(.{8})", re.DOTALL)
"""Width and height of a PNG."""

_MOST_MARKERS = 10_000
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A JPEG marker that a length follows, or the end; within the pixels' code there is none."""

_END, _PASS = b"\xff\xd9", b"\xff\xda"


def decoding_cost(image: "ImageFile", file: BinaryIO, max_pixels: int) -> int:
    """Says how many bytes decoding takes at most, and tells a JPEG to leave out what is not needed.

    Args:
        image: A picture whose head is read.
        file: Its file, at any position.
        max_pixels: Pixels that may be decoded.

    Raises:
        PictureError: It is a JPEG of too many passes.
    """
    from PIL.Image import DECODERS

    if image.format in ("JPEG", "MPO"):
        return _decoding_jpeg(image, file, max_pixels)
    if image.format in _WHOLE:
        return _WHOLE[image.format] * pixels_of(image)
    each = _NARROW.get(image.mode, PIXEL)
    if image.format == "TIFF" and image.tag_v2.get(ORIENTATION, 1) != 1:  # type: ignore[attr-defined]
        each *= 2  # Pillow sets it upright itself, in a copy
    for codec, _, _, how in image.tile[:1]:
        if codec == "libtiff":  # a strip, which may be all of it
            each += 2 * PIXEL if "16" in str(how) else PIXEL
        if codec in DECODERS:
            each += _SLOW
    return each * pixels_of(image)


def _decoding_jpeg(image: "ImageFile", file: BinaryIO, max_pixels: int) -> int:
    full = pixels_of(image)
    file.seek(0)
    passes = _passes(file.read())
    if passes * full > _MOST_PASSES * max_pixels:
        raise PictureError(
            f"it is drawn in {passes:,} passes or more", "save it again, or take another"
        )
    image.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
    cost = PIXEL * pixels_of(image)
    if passes > 1:  # two bytes for every coefficient, from the first to the last
        areas = [across * down for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
        cost += 2 * full * sum(areas) // max(1, *areas)
    return cost


def _passes(data: bytes) -> int:
    """Counts how often a JPEG goes over its pixels."""
    if data.count(_PASS) < 2:
        return 1
    passes = at = 0
    for _ in range(_MOST_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or found[0] == _END:
            return max(1, passes)
        passes += found[0] == _PASS
        at = found.end()
        at += int.from_bytes(data[at : at + 2])
    return _MOST_MARKERS


def check_icon(file: BinaryIO) -> None:
    """Makes sure that an ICO file is small, and so is every PNG in it.

    Args:
        file: At its start, and left there.

    Raises:
        PictureError: It is not.
    """
    data = file.read(_LARGEST_ICON + 1)
    file.seek(0)
    sizes = [struct.unpack(">2I", size) for size in _ICON_SIZE.findall(data)]
    if max(len(data), *(math.prod(size) for size in sizes), 0) > _LARGEST_ICON:
        raise PictureError("it is too large for an icon", "save it as PNG")


def pixels_of(image: "Image") -> int:
    """Returns how many pixels a picture has."""
    return image.width * image.height
