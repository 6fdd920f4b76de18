"""Writing files so that a reader sees the old content or the new, and never a part."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from digitcli.core.errors import DigitcliError, error_reason


@contextmanager
def write_errors(
    path: Path, next_step: str, kind: type[DigitcliError] = DigitcliError
) -> Iterator[None]:
    """Raises an ``OSError`` in the block as the error that a file or folder cannot be written.

    Args:
        path: The file or folder, as the user named it.
        next_step: What the user can do.
        kind: Class of the error raised.

    Raises:
        DigitcliError: An ``OSError`` was raised in the block.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"cannot write {path}: {error_reason(error)}", next_step) from error


def resolve_links(path: Path) -> Path:
    """Returns the absolute path of the file that a path leads to, through links.

    ``Path.resolve`` fails on a link that leads to itself, before Python 3.13.
    """
    return Path(os.path.realpath(path))


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replaces ``path`` in one step with what ``write`` puts out.

    The content goes to a temporary file in the same folder, is flushed to disk and renamed over
    ``path``; then the folder is flushed, so that the rename itself survives a power cut. Missing
    folders are made.

    Args:
        path: The file to make or replace.
        write: Called once with a binary file open for writing.

    Raises:
        OSError: The folder cannot be made or written, or the disk is full. ``path`` is untouched.
    """
    path = resolve_links(path)  # the file that a link leads to, not the link
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        replace_durably(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_durably(temporary: Path, path: Path) -> None:
    """Renames a file whose content is on disk over ``path``, and flushes the folder.

    Where ``path`` is a link, the link itself is replaced.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary.replace(path)
    if os.name == "posix":  # elsewhere a folder cannot be opened to be flushed
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_writable(path: Path) -> None:
    """Makes sure, before hours of work, that ``path`` can be written when they are over.

    Missing folders are made; an existing file is not touched.

    Raises:
        OSError: The folder cannot be made or written, or ``path`` is there and no plain file.
    """
    path = resolve_links(path)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a plain file")
    path.parent.mkdir(parents=True, exist_ok=True)
    probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
    try:
        probe.touch(exist_ok=False)
    finally:
        probe.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Removes what processes that were killed while they wrote ``path`` have left beside it.

    Only for whoever is sure to be the one process that writes there.

    Raises:
        OSError: The folder cannot be read, or such a file not removed.
    """
    path = resolve_links(path)
    left = re.compile(rf"\.{re.escape(path.name)}\.\d+\.(tmp|probe)")
    for file in path.parent.iterdir():
        if left.fullmatch(file.name):
            file.unlink(missing_ok=True)
