"""Images that a program passes in: a path, the content of a file, a Pillow image, an array."""

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.core.errors import PictureError, reason
from digitcli.data.arrays import Gray
from digitcli.data.images.grayscale import gray_and_size
from digitcli.data.images.source import ImageSource


class Readable(Protocol):
    """A file open in binary mode, or any object with such a ``read``."""

    def read(self) -> bytes:
        """Returns all remaining bytes."""
        ...


PictureLike = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | Readable
    | Image.Image
    | npt.NDArray[Any]
)
"""A path, the content of a file, an open file, a Pillow image, or an array (``array_to_gray``)."""


def as_source(picture: PictureLike) -> ImageSource:
    """Converts an image at once, so that the caller may reuse its file or its buffer.

    Returns:
        A source named by the path, or "" if there is none; with its error if it cannot be read.

    Raises:
        TypeError: ``picture`` has none of the types of an image.
    """
    if isinstance(picture, str | os.PathLike):
        path = os.fspath(picture)
        return ImageSource(path, Path(path) if path else b"")
    if isinstance(picture, bytes | bytearray | memoryview):
        return ImageSource("", bytes(picture))
    try:
        if isinstance(picture, Image.Image):
            gray, size = gray_and_size(picture)
            return ImageSource("", gray, size=size)
        if isinstance(picture, np.ndarray):
            return ImageSource("", array_to_gray(picture), size=picture.shape[1::-1])
        if hasattr(picture, "read"):
            return ImageSource("", _read(picture))
    except PictureError as error:
        return ImageSource("", b"", error=error)
    raise TypeError(
        "a picture is a path, bytes, an open file, a Pillow picture or a NumPy array, "
        f"not {type(picture).__name__}"
    )


def array_to_gray(array: npt.NDArray[Any]) -> Gray:
    """Converts an array to grayscale, as ``read_gray`` does a file.

    Args:
        array: (height, width) or (height, width, channels), of gray (1), gray and alpha (2), RGB
            (3) or RGBA (4). uint8; bool, True for white; or floats in 0..1, rounded to 8 bits.

    Raises:
        PictureError: The array has another shape or type, or a value out of range.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (2, 3, 4)):
        raise PictureError(
            f"an array of shape {array.shape} is no picture",
            "give (height, width) or (height, width, channels); predict_many takes several",
        )
    if array.dtype == np.bool_:
        levels = array * np.uint8(255)
    elif np.issubdtype(array.dtype, np.floating):
        if not ((array >= 0) & (array <= 1)).all():
            raise PictureError("an array of floats has values outside 0..1", "divide it by 255")
        levels = np.rint(array * 255).astype(np.uint8)
    elif array.dtype == np.uint8:
        levels = array
    else:
        raise PictureError(
            f"an array of {array.dtype} is no picture", "give uint8, bool, or floats in 0..1"
        )
    gray, _ = gray_and_size(Image.fromarray(levels))
    return gray


def _read(file: Readable) -> bytes:
    try:
        content = file.read()
    except OSError as error:
        raise PictureError(f"cannot read it: {reason(error)}", "open it again") from error
    if not isinstance(content, bytes):
        raise TypeError(
            "a file that is a picture must be open in binary mode, as by open(name, 'rb')"
        )
    return content
