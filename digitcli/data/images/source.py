"""Images to read: files, the content of files, arrays, and lists of file names."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray


@dataclass(frozen=True)
class ImageSource:
    """An image to read.

    Attributes:
        name: Name of the image in the results.
        content: A file, the content of a file, or a grayscale image.
        folder: The folder that was searched for images, as the user named it; None if the image
            itself was named.
        size: Width and height of the upright image; (0, 0) until it is decoded.
        error: Why the image cannot be read, if that is already known.
    """

    name: str
    content: Path | bytes | Gray
    folder: str | None = None
    size: tuple[int, int] = (0, 0)
    error: PictureError | None = None


def read_names(blocks: Iterable[bytes]) -> Iterator[list[str]]:
    r"""Splits a stream of file names at NULs if its first block has one, else at newlines.

    Empty names are left out. In a list split at newlines, one CR at the end of a name is removed,
    for lists written on Windows.

    Args:
        blocks: The stream, as it arrives.

    Yields:
        The names that each block completes.
    """
    separator, rest = b"", b""
    for block in blocks:
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *names, rest = (rest + block).split(separator)
        yield _decoded(names, separator)
    yield _decoded([rest], separator)


def _decoded(names: list[bytes], separator: bytes) -> list[str]:
    if separator != b"\0":
        names = [name.removesuffix(b"\r") for name in names]
    return [os.fsdecode(name) for name in names if name]
