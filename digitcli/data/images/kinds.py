"""What an image file is by its bytes: kinds that are not read, and how many images are in it."""

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL.ImageFile import ImageFile

from digitcli.core.errors import NotAPictureError, PictureError

FORMATS = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "GIF": "GIF",
    "BMP": "BMP",
    "PPM": "PPM",
    "WEBP": "WebP",
    "TIFF": "TIFF",
    "AVIF": "AVIF",
    "ICO": "ICO",
    "JPEG2000": "JPEG 2000",
}
"""Formats that images are read in besides HEIC: Pillow's names, those first that it has loaded at
the start, and ours. Its other formats start outside programs (EPS), have no signature (TGA), or
come from instruments."""

GIVE_ANOTHER = f"give a {', '.join(FORMATS.values())} or HEIC file"
"""Next step of the error that a file is not an image."""

_HEAD = 512
"""Bytes by which a kind is recognized."""

_MAX_IMAGES, _MAX_BLOCKS, _MAX_TAGS = 1000, 100_000, 1000
"""Maximum number of images counted, of blocks of a GIF and of tags of a page read for that."""

_UNITS = {"TIFF": "pages", "HEIF": "images"}
_COUNTED = ("PNG", "WEBP", "AVIF", "HEIF")
"""Formats that Pillow counts the images of when it reads the header. A JPEG may hold previews, and
an ICO the same image in several sizes: neither has pages."""

_SUBFILE_TYPE, _BITS, _COMPRESSION, _SAMPLE_FORMAT = 254, 258, 259, 339
_REDUCED = 1
"""Bit of the subfile type of a page that is a smaller copy of another page."""

_DAMAGED = (struct.error, LookupError, OSError, OverflowError, StopIteration, ValueError)
"""Errors of reading a damaged directory, or blocks that do not end."""

_SAMPLE_FORMATS = {2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_KINDS = {
    rb".{0,64}%PDF-": "a PDF",
    rb"\s*(<\?xml.*?|<!--.*?-->\s*|<!DOCTYPE svg.*?)?<svg[\s>]": "an SVG",
    rb"%!PS|\xc5\xd0\xd3\xc6": "a PostScript file",
    rb"8BP[SB]\0": "a Photoshop file",
    rb"gimp xcf ": "a GIMP file",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL",
    rb"\x76\x2f\x31\x01": "an OpenEXR image",
    rb"#\?(RADIANCE|RGBE)\n": "a Radiance image",
    rb"DDS ": "a DDS image",
    rb"qoif": "a QOI image",
    rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]": "a PCX image",
    rb"SIMPLE  =": "a FITS image",
    rb"icns": "an icon of macOS",
    rb"AT&TFORM": "a DjVu file",
    rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF": "a Windows metafile",
    rb"FUJIFILMCCD-RAW|....ftypcrx |IIRO|IIU\0": "a camera's raw image",
    rb".{128}DICM": "a DICOM image",
    rb"\x59\xa6\x6a\x95": "a Sun raster image",
    rb"\x01\xda[\x00\x01][\x01\x02]": "an SGI image",
}
"""Names of kinds of images that are not read, by a pattern of their first bytes."""

_TGA_END = b"TRUEVISION-XFILE.\0"
_TGA_HEAD = re.compile(
    rb".[\x00\x01][\x01-\x03\x09-\x0b].{9}(?!\x00\x00)..(?!\x00\x00)..[\x08\x0f\x10\x18\x20]",
    re.DOTALL,
)
TGA_NAMES = (".tga", ".icb", ".vda", ".vst")
"""Ends of the names of TGA images, lower-case: without its name, such a file may not be known."""


def unread_error(file: BinaryIO, name: str) -> PictureError:
    """Returns the error of a file that no decoder recognizes, by its content.

    Args:
        file: The file.
        name: Its name, if it has one. A TGA has no signature at its start.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if head.startswith(_TIFF_HEADS):
        return _tiff_error(file)
    for pattern, kind in _KINDS.items():
        if re.match(pattern, head, re.DOTALL):
            return _unread(kind)
    file.seek(-min(len(head), len(_TGA_END)), 2)
    if file.read() == _TGA_END or (name.lower().endswith(TGA_NAMES) and _TGA_HEAD.match(head)):
        return _unread("a TGA image")
    return NotAPictureError("not an image", GIVE_ANOTHER)


def _unread(kind: str) -> PictureError:
    return PictureError(f"{kind}, which is not supported", "save it as PNG or JPEG")


def _tiff_error(file: BinaryIO) -> PictureError:
    """Returns the error of a TIFF whose pixels cannot be decoded, with what they are."""
    with contextlib.suppress(*_DAMAGED):
        tags = next(_pages(file))
        samples = _SAMPLE_FORMATS.get(tags.get(_SAMPLE_FORMAT, 1), "integers")
        coding = f"compression {tags.get(_COMPRESSION, 1)}"
        return _unread(f"a TIFF of {tags[_BITS]}-bit {samples} with {coding}")
    return PictureError("the file is a damaged TIFF", "save it again, or use another")


def unread_images(image: ImageFile, file: BinaryIO) -> str | None:
    """Returns a warning if a file holds several images, of which only one is read, else None.

    Args:
        image: The open image.
        file: Its file.
    """
    count = 1
    with contextlib.suppress(*_DAMAGED):  # after the first image, which may be whole
        if image.format == "TIFF":
            for number, tags in enumerate(_pages(file)):
                count += number > 0 and not tags.get(_SUBFILE_TYPE, 0) & _REDUCED
        elif image.format == "GIF":
            for frames in _frames(file):
                count = frames
        elif image.format in _COUNTED:
            count = getattr(image, "n_frames", 1)
    if count < 2:
        return None
    total = f"{count:,}" if count < _MAX_IMAGES else f"{_MAX_IMAGES:,} or more"
    which = "main one" if image.format == "HEIF" else "first"
    return f"only the {which} of {total} {_UNITS.get(str(image.format), 'frames')} is read"


def _pages(file: BinaryIO) -> Iterator[dict[int, int]]:
    """Yields the first value of the tags of each page of a TIFF that are whole numbers."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head.startswith(b"II") else ">"
    is_big = 43 in head[2:4]
    entry, count, offset = ("HHQ8s", "Q", "Q") if is_big else ("HHL4s", "H", "L")
    (at,) = struct.unpack_from(order + offset, head, 8 if is_big else 4)
    seen = set[int]()
    while at and at not in seen and len(seen) < _MAX_IMAGES:
        seen.add(at)
        file.seek(at)
        (entries,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
        size = struct.calcsize(order + entry)
        directory = file.read(min(entries, _MAX_TAGS) * size)
        tags = {}
        for tag, kind, length, value in struct.iter_unpack(order + entry, directory):
            if kind in (3, 4):
                number = order + "HL"[kind - 3]
                if length * struct.calcsize(number) > len(value):  # the values are elsewhere
                    file.seek(*struct.unpack(order + offset, value))
                    value = file.read(4)  # noqa: PLW2901
                tags[tag] = int(struct.unpack_from(number, value)[0])
        yield tags
        file.seek(at + struct.calcsize(order + count) + entries * size)
        (at,) = struct.unpack(order + offset, file.read(struct.calcsize(order + offset)))


def _frames(file: BinaryIO) -> Iterator[int]:
    """Counts the frames of a GIF by its blocks, without decoding them, and yields each number."""
    file.seek(10)
    _skip_colors(file, file.read(3)[0])
    frames = blocks = 0
    while frames < _MAX_IMAGES and (introducer := file.read(1)) in (b"!", b","):
        if introducer == b",":
            frames += 1
            yield frames
            _skip_colors(file, file.read(9)[8])
        file.seek(1, 1)  # the kind of an extension, or the code size of an image
        while length := file.read(1)[0]:
            blocks += 1
            if blocks > _MAX_BLOCKS:
                return
            file.seek(length, 1)


def _skip_colors(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 * 2 ** (1 + (flags & 7)), 1)
