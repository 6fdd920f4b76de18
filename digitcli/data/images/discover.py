"""Finding the images in a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from digitcli.core.errors import NotAPictureError

_EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".webp"),
    *(".tif", ".tiff", ".avif", ".ico", ".jp2", ".j2k", ".heic", ".heif"),
)


def find_files(folder: Path) -> Iterator[Path]:
    """Yields the files in a folder by name, then those in its subfolders.

    Links to folders are not followed; hidden files and folders are skipped. A path that cannot be
    examined is yielded too: reading it raises the error.
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


def is_ignored(name: str, result: object) -> bool:
    """Returns True if a file found in a folder is not an image, by its name and by its content.

    Args:
        name: Name of the file. A broken file named like an image is reported, not ignored.
        result: The result of reading the file.
    """
    return isinstance(result, NotAPictureError) and not name.lower().endswith(_EXTENSIONS)
