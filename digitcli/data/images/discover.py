"""Finding the images in a folder."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from digitcli.core.errors import NotAPictureError
from digitcli.text import visible

_EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".webp"),
    *(".tif", ".tiff", ".avif", ".ico", ".jp2", ".j2k", ".heic", ".heif"),
)

_SYSTEM_NAMES = frozenset(
    (
        *("__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd"),
        *("$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db"),
        *("desktop.ini", "lost+found", ".ipynb_checkpoints", "__pycache__"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", ".@__thumb", "icon\r"),
    )
)
"""Lower-case names of files and folders that operating systems, file managers, network storage,
archives and notebooks add. Some hold thumbnails, which are copies of the images."""


class LeftOut:
    """Counts files and folders of the system that a search left out."""

    def __init__(self) -> None:
        self._count, self._names = 0, dict[str, None]()

    def add(self, name: str) -> None:
        """Counts a name for which ``is_system_name`` is true."""
        self._count += 1
        self._names[name] = None

    def __bool__(self) -> bool:
        return self._count > 0

    def __str__(self) -> str:
        kind = "system file or folder" if self._count == 1 else "system files and folders"
        return f"left out {self._count:,} {kind}: {', '.join(map(visible, self._names))}"


def is_system_name(name: str) -> bool:
    """Returns True if a file or folder of that name was added by a system, not by the user."""
    return name.lower() in _SYSTEM_NAMES


def is_broken_link(path: Path) -> bool:
    """Returns True if a path is a link that leads to nothing."""
    return path.is_symlink() and not path.exists()


def find_files(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Yields the files in a folder by name, then those in its subfolders.

    Links to folders are not followed; hidden files and folders are skipped, and so are those of
    the system, which are counted in ``left_out``. A path that cannot be examined and a broken link
    are yielded too: reading them raises the error.
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
        for entry in _kept(entries, left_out):
            path = Path(entry.path)
            try:
                if entry.is_dir(follow_symlinks=False):
                    subfolders.append(path)
                elif entry.is_file() or is_broken_link(path):
                    yield path
            except OSError:
                yield path
        waiting += reversed(subfolders)


def _kept(entries: "Iterable[os.DirEntry[str]]", left_out: LeftOut) -> "Iterator[os.DirEntry[str]]":
    for entry in entries:
        if is_system_name(entry.name):
            left_out.add(entry.name)
        elif not entry.name.startswith("."):
            yield entry


def is_ignored(name: str, result: object) -> bool:
    """Returns True if a file found in a folder is not an image, by its name and by its content.

    Args:
        name: Name of the file. A broken file named like an image is reported, not ignored.
        result: The result of reading the file.
    """
    return isinstance(result, NotAPictureError) and not name.lower().endswith(_EXTENSIONS)
