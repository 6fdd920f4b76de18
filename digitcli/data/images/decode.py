"""Opening pictures from anywhere: what one costs is judged before it is decoded.

A file of a hundred bytes can claim to be of a trillion pixels, and one of a megabyte can keep its
decoder busy for an hour. So a picture is opened in two steps: its head is read, which tells what
decoding takes at most; and it is decoded only if that is within the limit.
"""

import contextlib
import ctypes
import functools
import io
import logging
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from digitcli.core.errors import NotAPictureError, PictureError, error_reason
from digitcli.core.files.regular import open_regular
from digitcli.data.images.downscale import reduction, upright
from digitcli.data.images.limits import PIXEL, check_icon, decoding_cost, pixels_of

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "ICO", "JPEG2000")
"""Raster formats that people keep pictures in, those first that Pillow has ready at once. Others
that it knows start outside programs (EPS), have no signature (TGA), or come from instruments."""

# Pillow warns and logs of large pictures and odd metadata; where it matters, it raises.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
Image.MAX_IMAGE_PIXELS = None  # the limit is our own, and is told with its numbers

_WORK = 45
"""Bytes that a pixel takes at most while a reduced picture is brought to MNIST's form."""

_BASE = 2**20
"""Bytes that any picture may cost: a small one in a costly format, with all that comes with it."""

_ABSURD = 2**34
"""Bytes that nobody is advised to allow: sixteen gigabytes."""

_MOST_HEAD = 32 * 2**20
"""Bytes read until the size of a picture is known: previews, profiles, texts."""

_MOST_JPEG_HEAD = 8 * 2**20
"""The same of a JPEG, whose parts of one kind are joined one by one, in quadratic time."""

_PIECE = 2**20
"""Bytes that are read of a stream at once."""

_MOST_READS = 400_000
"""Reads that a picture's decoder may ask for, who takes 64 kB of pixels at a time; a file of more
parts is made to keep its reader busy."""


class OpenPicture:
    """A picture whose head is read.

    Attributes:
        cost: Bytes of memory that it takes at most to decode it and to bring it to MNIST's form.
        size: Width and height, as it is seen; known once it is decoded.

    Args:
        source: A file, or a file's content.
        max_pixels: Pixels that may be decoded; of formats that take more memory or time, less.

    Raises:
        NotAPictureError: Its content is no picture.
        PictureError: It is missing, empty, damaged or too large.
    """

    def __init__(self, source: Path | bytes, max_pixels: int) -> None:
        try:
            raw = io.BytesIO(source) if isinstance(source, bytes) else open_regular(source)
            self._file = _CountedReader(raw)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name from a list
            raise PictureError(
                f"cannot read it: {error_reason(error)}", "check the path and its permissions"
            ) from error
        try:
            with _faults(self._file):
                self._image, self.cost, self._whole = _opened(self._file, max_pixels)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "OpenPicture":
        return self

    def __exit__(self, *_: object) -> None:
        self._image.close()  # an error on its way to be told would keep it in memory
        self._file.close()

    def decode(self) -> Image.Image:
        """Decodes it, once: upright, and large ones reduced.

        Raises:
            PictureError: It is damaged.
        """
        with _faults(self._file):
            self._image.load()
            picture, self.size = upright(self._image, self._whole)
            if picture is not self._image:
                self._image.close()
            return picture


def largest_file(max_pixels: int) -> int:
    """Returns the bytes that a picture's file may have where so many pixels may be decoded."""
    return PIXEL * max_pixels + _BASE


def read_stream(stream: BinaryIO, max_pixels: int) -> bytes:
    """Reads a picture from a pipe, and no more of it than tells that it is too large."""
    left, content = largest_file(max_pixels) + 1, io.BytesIO()
    # piece by piece: a read reserves memory for all that it might bring, and any limit is allowed
    while left and (piece := stream.read(min(left, _PIECE))):
        left -= content.write(piece)
    return content.getvalue()


class _CountedReader(io.BufferedReader):
    """A file that refuses to be read without end.

    It does not tell its descriptor, or else some decoders would map it into memory, and die of a
    file that is cut meanwhile.
    """

    def __init__(self, raw: io.RawIOBase | io.BytesIO) -> None:
        self.size = raw.seek(0, os.SEEK_END)
        raw.seek(0)
        super().__init__(raw)
        self.left: float = math.inf
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads as any file does; bytes are counted unless all are wanted at once."""
        self._reads += 1
        data = super().read(size)
        if size is not None and size >= 0:
            self.left -= len(data)
        if self.left < 0 or self._reads > _MOST_READS:
            raise OSError("it has too many parts, or too long ones")
        return data

    def fileno(self) -> int:
        """Has none to tell."""
        raise io.UnsupportedOperation("fileno")


@contextlib.contextmanager
def _faults(file: _CountedReader) -> Iterator[None]:
    """Tells what goes wrong in Pillow, whose readers raise anything on damaged files."""
    try:
        yield
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise _no_picture(file) from error
    except MemoryError as error:
        raise PictureError("there is not enough memory for it", "scale it down first") from error
    except Exception as error:
        why = str(error) or type(error).__name__
        raise PictureError(
            f"it is damaged ({why:.100})", "save it again, or take another"
        ) from error


def _no_picture(file: _CountedReader) -> NotAPictureError:
    file.seek(4)
    if io.BufferedReader.read(file, 8) in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return NotAPictureError("HEIC pictures are not supported", "save it as JPEG or PNG")
    return NotAPictureError("it is not a picture", "give a PNG, JPEG, GIF, BMP, TIFF or WebP file")


def _opened(file: _CountedReader, max_pixels: int) -> tuple[ImageFile, int, tuple[int, int] | None]:
    """Reads the head of a picture.

    Returns:
        It, what the rest costs in bytes, and its width and height where it is a JPEG that will be
        decoded smaller than it is.
    """
    limit = largest_file(max_pixels)
    if not file.size:
        raise NotAPictureError("the file is empty", "give a PNG, JPEG or another picture")
    if file.size > limit:
        Image.open(io.BytesIO(file.read(4096)), formats=FORMATS)  # raises if it is no picture
        raise _too_large(f"it has {file.size:,} bytes, more than {limit:,}", file.size)
    head = file.peek(4)
    if head.startswith(b"\0\0\1\0"):
        check_icon(file)
    file.left = _MOST_JPEG_HEAD if head.startswith(b"\xff\xd8") else _MOST_HEAD
    image = Image.open(file, formats=FORMATS)
    if image.format == "TIFF":
        _silence_libtiff()
    file.left = math.inf
    pixels = pixels_of(image)
    if not pixels:
        raise PictureError("it has no pixels", "save it again, or take another")
    if pixels > max_pixels:
        raise _too_large(
            f"it has {pixels:,} pixels, more than {max_pixels:,}", PIXEL * pixels + _BASE
        )
    whole = image.size
    cost = file.size + decoding_cost(image, file, max_pixels)
    if cost > limit:
        raise _too_large(
            f"its {pixels:,} pixels cost as much memory or time as {_plain(cost):,} others, more "
            f"than {max_pixels:,}",
            cost,
        )
    cost = max(cost, _WORK * pixels_of(image) // reduction(image.size) ** 2)
    return image, cost, whole if image.size != whole else None


def _plain(cost: int) -> int:
    """Says how many pixels may be decoded where this cost is allowed."""
    return -(-(cost - _BASE) // PIXEL)


@functools.cache
def _silence_libtiff() -> None:
    """Keeps libtiff from printing what is wrong on standard error, where it can be told to."""
    from PIL import _imaging

    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def _too_large(problem: str, cost: int) -> PictureError:
    more = f", or give 'digitcli predict' --max-pixels {_plain(cost)}" if cost < _ABSURD else ""
    return PictureError(problem, f"scale it down{more}")
