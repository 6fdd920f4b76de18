"""HEIC images, which phones write: opening them by pillow-heif, and what decoding them takes.

The structure of the file is read here too, since the library decodes within limits of its own, of
gigabytes. It does keep a coded image within the size that the file declares for it.
"""

import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from digitcli.core.errors import PictureError
from digitcli.core.imports import install_extra

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_GENERIC_BRANDS = (b"mif1", b"msf1")
"""Brands of HEIC, and those that AVIF has too."""

_PIXEL_BYTES = 16
"""Maximum bytes per pixel while an image is decoded. Measured: 7 in a photo's form, 15 with 10 bits
and full color resolution; with transparency, which is an image of its own, 20 for both."""

_MAX_STRUCTURE = 2**20
"""Maximum bytes of the description of the parts; 48 megapixels of tiles take 20 kB."""

_MAX_TILES = 4
"""Maximum pixels of all tiles as a multiple of those of the image: tiles reach over its edges."""

_TILE_MARGIN = 2**22
"""Pixels that tiles may have besides."""

_TYPES = {b"hvc1", b"hev1", b"grid", b"iden"}
"""Types of parts that cameras write: coded images, grids of them, and turned ones. The sizes of
others, such as overlays, are not checked here."""

_ALPHA = (b"auxiliary:alpha", b"auxid:1")
"""Parts of the names that mark transparency."""

_MAX_PIECES = 32
"""Maximum number of pieces of a part, as in the library."""

_MAX_METADATA = 8 * 2**20
"""Maximum bytes of all parts that are no images; the library copies them several times."""

_ONE_THREAD = threading.Lock()


def is_heif(head: bytes) -> bool:
    """Returns True if a file that starts with these bytes, 64 or more, is a HEIC."""
    brands = [head[at : at + 4] for at in range(8, min(len(head), 64), 4)]
    if head[4:8] != b"ftyp":
        return False
    return brands[0] in _BRANDS or (
        brands[0] in _GENERIC_BRANDS and any(brand in _BRANDS for brand in brands)
    )


def open_heif(file: BinaryIO) -> "ImageFile":
    """Opens a HEIC, which does not decode it yet.

    Raises:
        PictureError: The library is not installed, or ``heif_cost`` raises it.
    """
    try:
        from pillow_heif import options
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise PictureError(
            "HEIC images need pillow-heif",
            f"{install_extra('heic')}, or save the image as JPEG",
        ) from error
    heif_cost(file)  # the library reads all metadata when it opens a file
    file.seek(0)
    with _ONE_THREAD:  # tiles that are decoded at the same time would add up
        threads, options.DECODE_THREADS = options.DECODE_THREADS, 1
        try:
            return HeifImageFile(file)
        finally:
            options.DECODE_THREADS = threads


def heif_cost(file: BinaryIO) -> int:
    """Returns the maximum bytes that decoding the main image of a HEIC takes.

    Raises:
        PictureError: The structure is damaged, or not one of a camera.
    """
    try:
        parts = _read_structure(file)
        if parts.metadata_size(file.seek(0, 2)) > _MAX_METADATA:
            raise _unclear()
        used = parts.used_by(parts.primary)
        areas = sorted((parts.area(file, each) for each in used), reverse=True)
    except (struct.error, LookupError, OverflowError) as error:
        raise _unclear() from error
    return _PIXEL_BYTES * sum(areas[:2])


def _unclear() -> PictureError:
    return PictureError(
        "the size of the image cannot be determined", "save it again, or use another"
    )


@dataclass
class _Parts:
    """The parts of a HEIC: coded images, grids of them, and metadata, by their numbers.

    Attributes:
        primary: Number of the main image.
        types: Type of each part.
        sizes: Largest declared number of pixels of each part.
        alphas: Parts that are the transparency of others.
        sources: Parts that a part is made of.
        auxiliary: Parts that belong to a part.
        extents: Offset and length of the pieces of each part, and whether they are in ``data``.
        data: Content of small parts.
    """

    primary: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    alphas: set[int] = field(default_factory=set)
    sources: dict[int, list[int]] = field(default_factory=dict)
    auxiliary: dict[int, list[int]] = field(default_factory=dict)
    extents: dict[int, tuple[bool, list[tuple[int, int]]]] = field(default_factory=dict)
    data: bytes = b""

    def metadata_size(self, file_size: int) -> int:
        """Returns the bytes of all parts that are no images, in a file of so many bytes."""
        return sum(
            length or file_size  # 0: up to the end
            for number, (_, pieces) in self.extents.items()
            if self.types.get(number) not in _TYPES
            for _, length in pieces
        )

    def used_by(self, part: int) -> set[int]:
        """Returns the parts that are decoded for one, itself among them."""
        used, waiting = set[int](), [part]
        while waiting:
            if (each := waiting.pop()) not in used:
                used.add(each)
                waiting += self.sources.get(each, [])
                waiting += [a for a in self.auxiliary.get(each, []) if a in self.alphas]
        return used

    def area(self, file: BinaryIO, part: int) -> int:
        """Returns the number of pixels of a part, checked against its tiles if it is a grid."""
        kind = self.types[part]
        if kind not in _TYPES:
            raise _unclear()
        if kind != b"grid":
            return self.sizes[part]
        content = self._content(file, part)
        wide = content[1] & 1
        width, height = struct.unpack_from(">2I" if wide else ">2H", content, 4)
        tiles = sum(self.sizes[each] for each in self.sources[part])
        if tiles > _MAX_TILES * width * height + _TILE_MARGIN:
            raise _unclear()
        return int(max(width * height, self.sizes[part]))

    def _content(self, file: BinaryIO, part: int) -> bytes:
        """Returns the first bytes of a part."""
        inside, extents = self.extents[part]
        content = b""
        for offset, length in extents[:4]:
            if inside:
                content += self.data[offset : offset + length]
            else:
                file.seek(offset)
                content += file.read(min(length, 16))
        return content


def _read_structure(file: BinaryIO) -> _Parts:
    meta = _only(_file_boxes(file), b"meta")
    boxes = list(_boxes(meta, 4))
    parts = _Parts(data=_only(boxes, b"idat", optional=True))
    primary = _only(boxes, b"pitm")
    (parts.primary,) = struct.unpack_from(">H" if primary[0] == 0 else ">I", primary, 4)
    _read_types(_only(boxes, b"iinf"), parts)
    _read_extents(_only(boxes, b"iloc"), parts)
    _read_references(_only(boxes, b"iref", optional=True), parts)
    _read_properties(_only(boxes, b"iprp"), parts)
    return parts


def _file_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yields type and content of the boxes of a file that describe it, which are small."""
    file.seek(0, 2)
    end, at = file.tell(), 0
    while at < end:
        file.seek(at)
        size, kind, start = _header(file.read(16), end - at)
        if kind == b"meta":
            if size > _MAX_STRUCTURE:
                raise _unclear()
            file.seek(at + start)
            yield kind, file.read(size - start)
        at += size


def _boxes(data: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yields type and content of the boxes in the content of another, from ``at`` on."""
    while at < len(data):
        size, kind, start = _header(data[at : at + 16], len(data) - at)
        yield kind, data[at + start : at + size]
        at += size


def _header(head: bytes, left: int) -> tuple[int, bytes, int]:
    """Returns size and type of a box, and where in it its content begins."""
    size, kind = struct.unpack_from(">I4s", head)
    start = 8
    if size == 1:
        (size,) = struct.unpack_from(">Q", head, 8)
        start = 16
    size = size or left
    if not start <= size <= left:
        raise _unclear()
    return size, kind, start


def _only(boxes: Iterable[tuple[bytes, bytes]], kind: bytes, *, optional: bool = False) -> bytes:
    """Returns the content of the only box of a type: of two, readers may take another one."""
    found = [content for each, content in boxes if each == kind]
    if len(found) != 1 and not (optional and not found):
        raise _unclear()
    return found[0] if found else b""


def _read_types(data: bytes, parts: _Parts) -> None:
    for kind, entry in _boxes(data, 6 if data[0] == 0 else 8):
        if kind != b"infe":
            continue
        if entry[0] < 2:
            raise _unclear()
        number, _, name = struct.unpack_from(">HH4s" if entry[0] == 2 else ">IH4s", entry, 4)
        if number in parts.types:
            raise _unclear()
        parts.types[number] = name


def _read_extents(data: bytes, parts: _Parts) -> None:
    version, sizes = data[0], [data[4] >> 4, data[4] & 15, data[5] >> 4, data[5] & 15]
    reader = _Numbers(data, 6)
    for _ in range(reader.read(2 if version < 2 else 4)):
        number = reader.read(2 if version < 2 else 4)
        method = reader.read(2) & 15 if version else 0
        reader.read(2)  # of another file
        base = reader.read(sizes[2])
        extents = []
        pieces = reader.read(2)
        if pieces > _MAX_PIECES:
            raise _unclear()
        for _ in range(pieces):
            reader.read(sizes[3] if version else 0)
            offset = base + reader.read(sizes[0])
            extents.append((offset, reader.read(sizes[1])))
        if number in parts.extents or method > 1:
            raise _unclear()
        parts.extents[number] = method == 1, extents


def _read_references(data: bytes, parts: _Parts) -> None:
    size = 2 if data[:1] in (b"", b"\0") else 4
    for kind, content in _boxes(data, 4):
        reader = _Numbers(content, 0)
        number = reader.read(size)
        for other in [reader.read(size) for _ in range(reader.read(2))]:
            if kind == b"dimg":
                parts.sources.setdefault(number, []).append(other)
            elif kind == b"auxl":
                parts.auxiliary.setdefault(other, []).append(number)


def _read_properties(data: bytes, parts: _Parts) -> None:
    boxes = list(_boxes(data))
    properties = list(_boxes(_only(boxes, b"ipco")))
    for each in (content for kind, content in boxes if kind == b"ipma"):
        wide = each[3] & 1
        reader = _Numbers(each, 4)
        for _ in range(reader.read(4)):
            number = reader.read(2 if each[0] == 0 else 4)
            for _ in range(reader.read(1)):
                index = reader.read(2) & 0x7FFF if wide else reader.read(1) & 0x7F
                if not index:
                    continue
                kind, content = properties[index - 1]
                if kind == b"ispe":
                    width, height = struct.unpack_from(">2I", content, 4)
                    parts.sizes[number] = max(parts.sizes.get(number, 0), width * height)
                elif kind == b"auxC" and any(name in content for name in _ALPHA):
                    parts.alphas.add(number)


class _Numbers:
    """Reads whole numbers of given sizes, one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def read(self, size: int) -> int:
        """Returns the next number of ``size`` bytes, most significant first."""
        if self._at + size > len(self._data):
            raise IndexError
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at])
