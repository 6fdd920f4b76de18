"""The cost of decoding an image, estimated from its header.

Help pages show ``MAX_PIXELS``, so Pillow is imported only where it is used.
"""

import math
import re
import struct
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, cast

from digitcli.core.errors import PictureError
from digitcli.data.images.avif import decoded_pixels
from digitcli.data.images.heif import heif_cost
from digitcli.data.images.jpeg2000 import overhead
from digitcli.data.images.tiff import segment_bytes

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

MAX_PIXELS = 100_000_000
"""Default maximum number of pixels: more than a camera of 64 megapixels takes, or a page scanned at
900 dpi has; 400 MB when decoded."""

SMALL_FILE = 32 * 1024
"""Bytes up to which a file is read whole, and decoding it takes less time than handing it to a
thread and back."""

MANY = 3000
"""Images from which on it pays to start processes, which takes as long as reading 1000 of them."""

BYTES_PER_PIXEL = 4
"""Bytes of a decoded pixel in most modes. An image may cost this many times the allowed pixels."""

MAX_SIDE = 1000
"""Pixels of the longer side to which photos are reduced: a digit needs 20."""

ORIENTATION_TAG = 0x0112
"""Number of the orientation in EXIF and TIFF."""

_NARROW_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes per pixel in the other modes."""

_COSTLY_FORMATS = {"WEBP": 18, "AVIF": 24, "JPEG2000": 30}
"""Bytes per pixel of decoders that hold the whole image several times. Measured; AVIF and JPEG2000
have a margin for bit depths that were not measured."""

_PYTHON_DECODER = 200
"""Bytes per pixel charged for decoders written in Python, which take 1 to 2 µs a pixel."""

_MAX_ICON = 2**21
"""Maximum bytes of an ICO file, and pixels of an image in it: Pillow decodes ICO on opening."""

_MAX_COMMENTS = 1000
"""Maximum number of comments of an image in text; programs write one."""

PNG_START = b"\x89PNG"
_PNG_SIZE = re.compile(rb"IHDR(.{8})", re.DOTALL)

_MAX_PASSES = 12
"""Maximum passes of a JPEG over the allowed pixels; progressive files have about ten."""

_MAX_MARKERS = 10_000
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A JPEG marker followed by a length, or the end marker; entropy-coded data contains neither."""

_END, _SCAN = b"\xff\xd9", b"\xff\xda"


def decoding_cost(image: "ImageFile", file: BinaryIO, max_pixels: int) -> int:
    """Returns the maximum bytes that decoding takes; a large JPEG is set to be decoded smaller.

    Raises:
        PictureError: The image is a JPEG of too many passes for ``max_pixels``.
    """
    from PIL.Image import DECODERS

    if image.format in ("JPEG", "MPO"):
        return _jpeg_cost(image, file, max_pixels)
    if image.format == "AVIF":
        return _COSTLY_FORMATS["AVIF"] * max(count_pixels(image), _avif_pixels(file))
    if image.format in _COSTLY_FORMATS:
        return _COSTLY_FORMATS[image.format] * count_pixels(image) + _jpeg2000_cost(image, file)
    if image.format == "HEIF":
        return heif_cost(file)
    each = _NARROW_MODES.get(image.mode, BYTES_PER_PIXEL)
    if image.format == "TIFF" and image.tag_v2.get(ORIENTATION_TAG, 1) != 1:  # type: ignore[attr-defined]
        each *= 2  # Pillow turns it upright itself, in a copy
    segment = 0
    for codec, *_ in image.tile[:1]:
        if codec == "libtiff":
            segment = segment_bytes(cast("TiffImageFile", image), file)
        if codec in DECODERS:
            each += _PYTHON_DECODER
    return each * count_pixels(image) + segment


def _avif_pixels(file: BinaryIO) -> int:
    file.seek(0)
    return decoded_pixels(file.read())


def _jpeg2000_cost(image: "ImageFile", file: BinaryIO) -> int:
    if image.format != "JPEG2000":
        return 0
    file.seek(0)
    return overhead(file.read(), image.size, len(image.getbands()))


def _jpeg_cost(image: "ImageFile", file: BinaryIO, max_pixels: int) -> int:
    full = count_pixels(image)
    file.seek(0)
    passes = _count_passes(file.read())
    if passes * full > _MAX_PASSES * max_pixels:
        problem = f"the image has {passes:,} scans or more"
        raise PictureError(problem, "save it again, or use another")
    image.draft("RGB", (MAX_SIDE, MAX_SIDE))
    cost = BYTES_PER_PIXEL * count_pixels(image)
    if passes > 1:  # 2 bytes for every coefficient are kept between passes
        areas = [across * down for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
        cost += 2 * full * sum(areas) // max(1, *areas)
    return cost


def _count_passes(data: bytes) -> int:
    """Returns the number of scans of a JPEG, each of which goes over the pixels."""
    if data.count(_SCAN) < 2:
        return 1
    passes = at = 0
    for _ in range(_MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or found[0] == _END:
            return max(1, passes)
        passes += found[0] == _SCAN
        at = found.end()
        at += int.from_bytes(data[at : at + 2])
    return _MAX_MARKERS


def check_icon(file: BinaryIO) -> None:
    """Raises a ``PictureError`` if an ICO file or an image in it is large.

    Leaves the file at its start.
    """
    data = file.read(_MAX_ICON + 1)
    file.seek(0)
    sizes = [struct.unpack(">2I", size) for size in _PNG_SIZE.findall(data)]
    for at in range(6, min(len(data), 6 + 16 * int.from_bytes(data[4:6], "little")), 16):
        start = int.from_bytes(data[at + 12 : at + 16], "little")
        header = data[start + 4 : start + 12]  # of a BMP, whose height counts its mask too
        if len(header) == 8 and data[start : start + 4] != PNG_START:
            width, height = struct.unpack("<2i", header)
            sizes.append((abs(width), abs(height) // 2))
    if max(len(data), *(math.prod(size) for size in sizes), 0) > _MAX_ICON:
        raise PictureError("the image is too large for an icon", "save it as PNG")


def check_comments(file: BinaryIO) -> None:
    """Raises a ``PictureError`` if a PNM file in text has many comments.

    Pillow copies up to a megabyte for each. Leaves the file at its start.
    """
    marks = sum(block.count(b"#") for block in iter(partial(file.read, 2**20), b""))
    file.seek(0)
    if marks > _MAX_COMMENTS:
        raise PictureError(f"the image has {marks:,} comments", "save it again, or use another")


def count_pixels(image: "Image") -> int:
    """Returns the number of pixels of an image."""
    return image.width * image.height
