"""Finding the pictures in a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from digitcli.core.errors import NotAPictureError

_NAMES = (
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".webp"),
    *(".tif", ".tiff", ".avif", ".ico", ".jp2", ".j2k", ".heic", ".heif"),
)
"""How names of pictures end."""


def find_files(folder: Path) -> Iterator[Path]:
    """Lists the files in a folder, in the order of their names, and then those in its folders.

    Links to folders are not followed, and hidden files and folders are passed over.

    Yields:
        Files, and what cannot be looked into: reading it says why.
    """
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        subfolders = []
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            yield folder
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            try:
                if entry.is_dir(follow_symlinks=False):
                    subfolders.append(path)
                elif entry.is_file(follow_symlinks=False) or path.is_file():
                    yield path
            except OSError:
                yield path
        waiting += reversed(subfolders)


def is_passed_over(name: str, result: object) -> bool:
    """Says whether a file in a folder is none of the pictures that were asked for.

    That is so where its content is of no picture, unless it is called one: an empty file, say, that
    was to be a picture is told of.

    Args:
        name: The file.
        result: What came of reading it.
    """
    return isinstance(result, NotAPictureError) and not name.lower().endswith(_NAMES)
