"""What a program may hand over as a picture: a file, its content, a Pillow picture, an array."""

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcli.core.errors import PictureError, error_reason
from digitcli.data.arrays import Gray
from digitcli.data.images.grayscale import grey_of
from digitcli.data.images.pipeline import ImageSource


class Readable(Protocol):
    """A file that is open in binary mode, or anything else that ``read`` empties."""

    def read(self) -> bytes:
        """Returns all that is left in it."""
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
"""A path, a file's content, an open file, a Pillow picture, or an array as ``grey_array`` takes."""


def as_source(picture: PictureLike) -> ImageSource:
    """Takes a picture in, so that it can be prepared later whatever becomes of the caller's object.

    Open files are read and Pillow pictures decoded here. What is wrong with the picture is put in
    its place.

    Returns:
        A source, named by the path where there is one, else "".

    Raises:
        TypeError: This is nothing that a picture can be in.
    """
    if isinstance(picture, str | os.PathLike):
        path = os.fspath(picture)
        return ImageSource(path, Path(path) if path else b"")
    if isinstance(picture, bytes | bytearray | memoryview):
        return ImageSource("", bytes(picture))
    try:
        if isinstance(picture, Image.Image):
            grey, size = grey_of(picture)
            return ImageSource("", grey, size=size)
        if isinstance(picture, np.ndarray):
            return ImageSource("", grey_array(picture), size=picture.shape[1::-1])
        if hasattr(picture, "read"):
            return ImageSource("", _read(picture))
    except PictureError as error:
        return ImageSource("", error)
    raise TypeError(
        "a picture is a path, bytes, an open file, a Pillow picture or a NumPy array, "
        f"not {type(picture).__name__}"
    )


def grey_array(array: npt.NDArray[Any]) -> Gray:
    """Makes an array's picture grey, as ``read_picture`` does with a file.

    Args:
        array: (height, width) or (height, width, channels), of grey (1), grey and alpha (2), RGB
            (3) or RGBA (4). uint8; bool, True for white; or floats in 0..1, rounded to 8 bits.

    Raises:
        PictureError: The shape, the type or a value is another.
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
    grey, _ = grey_of(Image.fromarray(levels))
    return grey


def _read(file: Readable) -> bytes:
    try:
        content = file.read()
    except OSError as error:
        raise PictureError(f"cannot read it: {error_reason(error)}", "open it again") from error
    if not isinstance(content, bytes):
        raise TypeError(
            "a file that is a picture must be open in binary mode, as by open(name, 'rb')"
        )
    return content
