"""Decoding images of unknown origin within limits of memory and time.

A file of 100 bytes can claim a trillion pixels, and a file of a megabyte can keep its decoder busy
for an hour. So the header is read first, the cost of decoding is estimated from it, and the image
is decoded only within the limit.
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
from digitcli.data.images.downscale import reduction_factor, upright
from digitcli.data.images.heif import is_heif, open_heif
from digitcli.data.images.kinds import FORMATS, GIVE_ANOTHER, unread_error, unread_images
from digitcli.data.images.limits import (
    BYTES_PER_PIXEL,
    PNG_START,
    SMALL_FILE,
    check_comments,
    check_icon,
    count_pixels,
    decoding_cost,
)

# Pillow warns and logs about large images and odd metadata; what matters is raised.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
Image.MAX_IMAGE_PIXELS = None  # replaced by the limit here, whose message has the numbers

_PREPARATION_BYTES = 45
"""Maximum bytes per pixel of a reduced image while it is brought to MNIST form."""

_FREE_BYTES = 2**20
"""Bytes that any image may cost: a small one in a costly format, with its metadata."""

_MAX_HEADER, _MAX_JPEG_HEADER = 32 * 2**20, 8 * 2**20
"""Maximum bytes read before the size of an image is known: previews, profiles, texts. Pillow joins
the segments of a JPEG in quadratic time."""

_ANOTHER = "save it again, or use another"

_MAX_READS = 400_000
"""Maximum number of reads of a decoder, which takes 64 kB of pixels at a time: more are a file made
of many parts to keep its reader busy."""

_MAX_JPEG_HEADER_READS = 4000
"""Maximum number of reads of a JPEG's header; a segment of at most 64 kB takes four."""


class OpenImage:
    """An image whose header is read; a context manager that closes the file.

    Attributes:
        cost: Maximum bytes of memory to decode the image and bring it to MNIST form.
        size: Width and height of the upright image; set by ``decode``.
        warning: Warning that other images in the file are not read, or None; set by ``decode``.

    Args:
        source: A file, or the content of a file.
        max_pixels: Maximum number of pixels; fewer in formats that take more memory or time.

    Raises:
        NotAPictureError: The content is not an image.
        PictureError: The file is missing, empty, damaged or too large.
    """

    def __init__(self, source: Path | bytes, max_pixels: int) -> None:
        self._name = source.name if isinstance(source, Path) else ""
        try:
            self._file = _open(source)
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name from a list
            raise _unreadable(source, error) from error
        try:
            with _decoding_errors(self._file, self._name):
                self._image, self.cost, self._full_size = _read_header(self._file, max_pixels)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "OpenImage":
        return self

    def __exit__(self, *_: object) -> None:
        self._image.close()  # an error that refers to the image would keep it in memory
        self._file.close()

    def decode(self) -> Image.Image:
        """Decodes the image, once: upright, and reduced if it is large.

        Raises:
            PictureError: The image is damaged.
        """
        with _decoding_errors(self._file, self._name):
            self._image.load()
            self.warning = unread_images(self._image, self._file)
            image, self.size = upright(self._image, self._full_size)
            if image is not self._image:
                self._image.close()
            return image


def _unreadable(source: Path | bytes, error: OSError | ValueError) -> PictureError:
    if isinstance(error, FileNotFoundError) and isinstance(source, Path) and source.is_symlink():
        return PictureError("a broken link", "check where it leads")
    reason = error_reason(error)
    return PictureError(f"cannot be read: {reason}", "check the path and its permissions")


def max_file_size(max_pixels: int) -> int:
    """Returns the maximum bytes of an image file for a maximum number of pixels."""
    return BYTES_PER_PIXEL * max_pixels + _FREE_BYTES


def read_stream(stream: BinaryIO, max_pixels: int) -> bytes:
    """Reads an image from a pipe, up to one byte more than an image file may have."""
    left, content = max_file_size(max_pixels) + 1, io.BytesIO()
    # In chunks: a read allocates all the bytes it may return, and the limit may exceed memory.
    while left and (chunk := stream.read(min(left, 2**20))):
        left -= content.write(chunk)
    return content.getvalue()


class _LimitedReader(io.BufferedReader):
    """A file that limits the number of reads and of bytes read.

    What is appended after it was opened is not read: there may be no end to it, and OpenJPEG aborts
    the process.
    """

    def __init__(self, raw: io.RawIOBase | io.BytesIO) -> None:
        self.size = raw.seek(0, os.SEEK_END)
        raw.seek(0)
        super().__init__(raw)
        self.limit()

    def limit(self, size: float = math.inf, reads: int = _MAX_READS) -> None:
        """Sets how many bytes may be read from now on, and in how many reads."""
        self._left, self._reads_left = size, reads

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads as any file does; bytes are counted unless all of them are requested."""
        self._reads_left -= 1
        rest = max(0, self.size - self.tell())
        if size is None or size < 0:
            data = super().read(rest)
        else:
            data = super().read(min(size, rest))
            self._left -= len(data)
        if self._left < 0 or self._reads_left < 0:
            raise OSError("too many parts, or too long ones")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves as in any file, whose end stays where it was when the file was opened."""
        if whence == os.SEEK_END:
            return super().seek(self.size + offset)
        return super().seek(offset, whence)

    def fileno(self) -> int:
        """Raises an error: decoders that map a file into memory crash if it is truncated."""
        raise io.UnsupportedOperation("fileno")


class _SmallPng(io.BytesIO):
    """The content of a small PNG, whose chunks are read once, from first to last."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.size = len(content)

    def limit(self, size: float = math.inf, reads: int = 0) -> None:
        """Does nothing: no more than the content can be read."""

    def peek(self, size: int = 0, /) -> bytes:
        """Returns the first bytes."""
        return self.getvalue()[:size]


_File = _LimitedReader | _SmallPng


def _open(source: Path | bytes) -> _File:
    """Opens an image for decoding; a small file is read at once.

    Raises:
        OSError, ValueError: As for ``open_regular``.
    """
    if isinstance(source, Path):
        file = open_regular(source)
        size = os.fstat(file.fileno()).st_size
        if size > SMALL_FILE:
            return _LimitedReader(file)
        with io.BufferedReader(file) as whole:
            # No byte more: some files of the system have none, and block when they are read.
            source = whole.read(size)
    if len(source) <= SMALL_FILE and source.startswith(PNG_START):
        return _SmallPng(source)
    return _LimitedReader(io.BytesIO(source))


@contextlib.contextmanager
def _decoding_errors(file: _File, name: str) -> Iterator[None]:
    """Raises any exception in the block as a ``PictureError``: Pillow's decoders raise anything."""
    try:
        yield
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        file.limit()
        raise unread_error(file, name) from error
    except MemoryError as error:
        raise PictureError(
            "there is not enough memory for the image", "scale it down first"
        ) from error
    except Exception as error:
        why = str(error) or type(error).__name__
        raise PictureError(f"the image is damaged ({why:.100})", _ANOTHER) from error


def _read_header(file: _File, max_pixels: int) -> tuple[ImageFile, int, tuple[int, int] | None]:
    """Opens an image, which reads its header, and checks its cost against the limit.

    Returns:
        The image, its cost in bytes, and its full size if it is a JPEG to be decoded smaller.
    """
    limit = max_file_size(max_pixels)
    if not file.size:
        raise NotAPictureError("the file is empty", GIVE_ANOTHER)
    if file.size > limit:
        Image.open(io.BytesIO(file.read(4096)), formats=tuple(FORMATS))  # raises if not an image
        raise _too_large(f"the file has {file.size:,} bytes, more than {limit:,}", file.size)
    head = file.peek(4)
    if head.startswith(b"\0\0\1\0"):
        check_icon(file)
    elif head.startswith((b"P1", b"P2", b"P3")):
        check_comments(file)
    file.limit(_MAX_HEADER)
    if head.startswith(b"\xff\xd8"):
        file.limit(_MAX_JPEG_HEADER, _MAX_JPEG_HEADER_READS)
    is_heic = is_heif(file.peek(64))
    image = open_heif(file) if is_heic else Image.open(file, formats=tuple(FORMATS))
    if image.format == "TIFF":
        _silence_libtiff()
    file.limit()
    pixels = count_pixels(image)
    if not pixels:
        raise PictureError("the image has no pixels", _ANOTHER)
    if pixels > max_pixels:
        problem = f"the image has {pixels:,} pixels, more than {max_pixels:,}"
        raise _too_large(problem, max_file_size(pixels))
    full_size = image.size
    cost = file.size + decoding_cost(image, file, max_pixels)
    if cost > limit:
        same = f"as much memory or time as {_pixels_for(cost):,} others, more than {max_pixels:,}"
        raise _too_large(f"the {pixels:,} pixels of the image cost {same}", cost)
    reduced_pixels = count_pixels(image) // reduction_factor(image.size) ** 2
    cost = max(cost, _PREPARATION_BYTES * reduced_pixels)
    return image, cost, full_size if image.size != full_size else None


def _too_large(problem: str, cost: int) -> PictureError:
    option = f", or give 'digitcli predict' --max-pixels {_pixels_for(cost)}"
    return PictureError(problem, f"scale it down{option if cost < 2**34 else ''}")  # 16 GB


def _pixels_for(cost: int) -> int:
    """Returns the maximum number of pixels that allows this cost."""
    return -(-(cost - _FREE_BYTES) // BYTES_PER_PIXEL)


@functools.cache
def _silence_libtiff() -> None:
    """Stops libtiff from printing its errors on standard error; Pillow raises them."""
    from PIL import _imaging

    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
