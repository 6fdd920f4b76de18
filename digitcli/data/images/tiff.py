"""The memory that libtiff takes for one strip or tile of a TIFF, which may exceed the image."""

import struct
from typing import TYPE_CHECKING, BinaryIO

from digitcli.core.errors import PictureError

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277
_ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 278, 284, 322, 323
_SIZE_TAGS = {_WIDTH, _HEIGHT, _BITS, _SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT}
"""Tags that decide how much libtiff allocates."""

_YCBCR = 6
_RGBA_BYTES = 4


def segment_bytes(image: "TiffImageFile", file: BinaryIO) -> int:
    """Returns the maximum bytes that libtiff takes for a decoded strip or tile.

    Raises:
        PictureError: libtiff would read another size from the file than Pillow.
    """
    _check_size_tags(image, file)
    tags = image.tag_v2
    if _TILE_WIDTH in tags or _TILE_HEIGHT in tags:
        pixels = abs(tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0))
    else:  # libtiff cuts strips off at the end of the image
        height = tags[_HEIGHT]
        pixels = tags[_WIDTH] * min(height, tags.get(_ROWS_PER_STRIP, height))
    each = -(-max(tags.get(_BITS, (1,))) * tags.get(_SAMPLES, 3) // 8)
    if tags.get(_PHOTOMETRIC) == _YCBCR:  # converted in a second buffer
        each += _RGBA_BYTES
    return int(pixels * each)


def _check_size_tags(image: "TiffImageFile", file: BinaryIO) -> None:
    """Checks that each tag in ``_SIZE_TAGS`` is there once at most, as a value that Pillow read.

    Pillow skips entries that libtiff reads, and then takes a second entry of the same tag.
    """
    file.seek(0)
    head = file.read(4)
    order = "<" if head.startswith(b"II") else ">"
    entry, count = ("HHQ8s", "Q") if 43 in head[2:] else ("HHL4s", "H")
    file.seek(image.tag_v2.offset)
    (entries,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
    directory = file.read(min(entries, 2**16) * struct.calcsize(order + entry))
    found = [tag for tag, *_ in struct.iter_unpack(order + entry, directory) if tag in _SIZE_TAGS]
    values = [image.tag_v2.get(tag) for tag in found if tag != _BITS]
    if len(set(found)) < len(found) or not all(isinstance(value, int) for value in values):
        raise PictureError(
            "the size of the image cannot be determined", "save it again, or use another"
        )
