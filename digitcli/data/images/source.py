"""Images to read, as the command line names them and as a program passes them in."""

import functools
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.core.errors import DigitcliError, PictureError, error_reason
from digitcli.data.arrays import Gray
from digitcli.data.images.grayscale import gray_and_size


@dataclass(frozen=True)
class ImageSource:
    """An image to read."""

    name: str  # in the results
    content: Path | bytes | Gray  # a file, the content of a file, or a grayscale image
    folder: str | None = None  # that was searched for images, as the user named it
    size: tuple[int, int] = (0, 0)  # width and height of the upright image, once it is decoded
    warning: str | None = None  # that other images in the file are not read, once it is decoded
    error: PictureError | None = None  # if it is known that the image cannot be read

    @functools.cached_property
    def stored_size(self) -> int:
        """Bytes of the file or content, or pixels of the grayscale image; 0 if unreadable."""
        if isinstance(self.content, bytes):
            return len(self.content)
        if not isinstance(self.content, Path):
            return self.content.size
        try:
            return self.content.stat().st_size
        except (OSError, ValueError):
            return 0  # reading the file will raise the error

    def decoded(self, size: tuple[int, int], warning: str | None) -> Self:
        """Returns the source of an image that was decoded, without content that is in memory."""
        content = self.content if isinstance(self.content, Path) else b""
        return replace(self, content=content, size=size, warning=warning)


_MAX_NAME = 2**20
"""Maximum bytes of a name in a list; systems allow a few thousand."""

_ADDRESS = re.compile(r"(https?|ftp)://", re.IGNORECASE)


def named_source(name: str) -> ImageSource:
    """Returns the source of a file, with an error if the name is empty or an address."""
    error = None
    if not name:
        error = PictureError("the name of an image is empty", "name a file")
    elif _ADDRESS.match(name):
        command = f"curl -sL {shlex.quote(name)} | digitcli predict -"
        error = PictureError("it is an address, not a file", f"fetch it first, as in: {command}")
    return ImageSource(name, b"" if error else Path(name), error=error)


def read_names(blocks: Iterable[bytes]) -> Iterator[list[str]]:
    """Splits a stream of file names at NULs if its first block has one, else at newlines.

    Empty names are left out. In a list of lines, one CR at the end of a name is removed, as Windows
    writes it.

    Yields:
        The names that each block completes.

    Raises:
        DigitcliError: A name is longer than any file's.
    """
    separator, rest = b"", b""
    for block in blocks:
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *names, rest = (rest + block).split(separator)
        yield _decoded(names, separator)
        if len(rest) > _MAX_NAME:
            problem = f"the list has a line of more than {_MAX_NAME:,} bytes"
            raise DigitcliError(problem, "separate its names by newlines or NULs")
    yield _decoded([rest], separator)


def _decoded(names: list[bytes], separator: bytes) -> list[str]:
    if separator != b"\0":
        names = [name.removesuffix(b"\r") for name in names]
    return [os.fsdecode(name) for name in names if name]


class Readable(Protocol):
    """A file open in binary mode, or any object with such a ``read``."""

    def read(self) -> bytes:
        """Returns all remaining bytes."""
        ...


class ArrayLike(Protocol):
    """A NumPy array, or any object that converts itself to one, such as a tensor of torch."""

    def __array__(self) -> npt.NDArray[Any]:
        """Returns the values as an array."""
        ...


PictureLike = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Image.Image | ArrayLike
)
"""A path, the content of a file, an open file, a Pillow image, or an array or a tensor, of
shape (height, width), (1, height, width) or (height, width, channels), as in ``to_levels``."""


def as_source(picture: PictureLike) -> ImageSource:
    """Converts an image at once: the caller may then change its buffer or close its file.

    Returns:
        A source named by the path, else ""; with an error if the image cannot be read.

    Raises:
        TypeError: ``picture`` has none of the types of an image.
    """
    if isinstance(picture, str | os.PathLike):
        path = os.fspath(picture)
        return named_source(path)
    if isinstance(picture, bytes | bytearray | memoryview):
        return ImageSource("", bytes(picture))
    try:
        if isinstance(picture, Image.Image):
            gray, size = gray_and_size(picture)
            return ImageSource("", gray, size=size)
        if hasattr(picture, "__array__"):
            gray, size = _array_to_gray(np.asarray(picture))
            return ImageSource("", gray, size=size)
        if hasattr(picture, "read"):
            return ImageSource("", _content(picture))
    except PictureError as error:
        return ImageSource("", b"", error=error)
    raise TypeError(
        "an image is a path, bytes, an open file, a Pillow image, an array or a tensor, "
        f"not {type(picture).__name__}"
    )


def _array_to_gray(array: npt.NDArray[Any]) -> tuple[Gray, tuple[int, int]]:
    """Converts an array to grayscale, as ``read_gray`` does a file; also returns width and height.

    Args:
        array: (height, width), (1, height, width) or (height, width, channels), of gray (1), gray
            and alpha (2), RGB (3) or RGBA (4), with values as ``to_levels`` takes them.

    Raises:
        PictureError: The array has another shape or type, or a value out of range.
    """
    channels = array.shape[2] if array.ndim == 3 else 0
    if channels == 1:
        array = array[:, :, 0]
    elif channels not in (0, 2, 3, 4) and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 and channels not in (2, 3, 4):
        raise PictureError(
            f"an array of shape {array.shape} is not an image",
            "give (height, width) or (height, width, channels); predict_many takes several",
        )
    return gray_and_size(Image.fromarray(to_levels(array)))


def to_levels(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Converts values of pixels to 8 bits.

    Args:
        array: Any shape. Integers of any size in 0..255; bool, True for white; or floats in 0..1,
            which are rounded.

    Raises:
        PictureError: The array has another type, or a value out of range.
    """
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        if not ((array >= 0) & (array <= 1)).all():
            step = "divide values of 0..255 by 255, and undo a normalization"
            raise PictureError("an array of floats has values outside 0..1", step)
        return np.rint(array * 255).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.integer):
        problem = f"an array of {array.dtype} is not an image"
        raise PictureError(problem, "give integers in 0..255, bool, or floats in 0..1")
    if not ((array >= 0) & (array <= 255)).all():
        problem = f"an array of {array.dtype} has values outside 0..255"
        raise PictureError(problem, "scale it to 0..255, or to floats in 0..1")
    return array.astype(np.uint8, copy=False)


def _content(file: Readable) -> bytes:
    try:
        content = file.read()
    except OSError as error:
        raise PictureError(f"cannot read it: {error_reason(error)}", "open it again") from error
    if not isinstance(content, bytes):
        raise TypeError("a file that is an image must be open in binary mode: open(name, 'rb')")
    return content
