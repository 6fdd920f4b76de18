"""Atomic writes: a reader sees the old content or the new, never a part."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from digitcli.core.errors import DigitcliError, error_reason

try:
    import fcntl
except ImportError:  # on Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

_MAX_NAME = 255
"""Maximum bytes of a file's name on nearly all file systems."""

_RANDOM = re.compile(r"\.([0-9a-f]{16})\.tmp$")
"""The random part of a temporary file's name."""

_NEITHER_LINK_NOR_PIPE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextmanager
def write_errors(
    path: Path, next_step: str, kind: type[DigitcliError] = DigitcliError
) -> Iterator[None]:
    """Raises an ``OSError`` of the block as a ``kind`` of error that ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        raise kind(f"cannot write {path}: {error_reason(error)}", next_step) from error


def resolve_links(path: Path) -> Path:
    """Returns the absolute path that a path leads to through links.

    ``Path.resolve`` fails on a link to itself before Python 3.13.

    Raises:
        DigitcliError: The path is relative, and the current folder was deleted.
    """
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError as error:
        problem = "the current folder does not exist any more"
        raise DigitcliError(problem, "change to another folder") from error


def hidden_sibling(path: Path, ending: str) -> Path:
    """Returns ``.NAME`` and an ending, in the same folder; a long name is replaced by its hash."""
    name = os.fsencode(path.name)
    if len(name) + len(ending) >= _MAX_NAME:
        name = hashlib.sha256(name).hexdigest()[:32].encode()
    return path.parent / f".{os.fsdecode(name)}{ending}"


def make_folder(path: Path) -> None:
    """Makes a folder and those above it that are missing, so that a power cut takes none of them.

    Raises:
        OSError: A folder cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _flush_folder(each.parent)


@contextmanager
def empty_folders_removed(*folders: Path) -> Iterator[None]:
    """Removes folders that the block makes and leaves empty, and those above them."""
    above = [each for folder in folders for each in (folder, *folder.parents)]
    missing = [each for each in dict.fromkeys(above) if not os.path.lexists(each)]
    try:
        yield
    finally:
        for each in missing:
            with contextlib.suppress(OSError):  # it was not made, or is not empty
                each.rmdir()


def write_atomically(
    path: Path, write: Callable[[BinaryIO], object], permissions_of: Path | None = None
) -> None:
    """Writes a temporary file in the same folder and renames it over ``path``.

    File and folder are flushed to disk, so that the rename survives a power cut. Missing folders
    are made. Where ``path`` is a link, the file it leads to is replaced.

    Args:
        path: The file.
        write: Called once with the temporary file, open for writing.
        permissions_of: The file whose permissions the new one gets; None for the one replaced.

    Raises:
        OSError: The folder cannot be made or written, or the disk is full. ``path`` is untouched.
    """
    path = resolve_links(path)
    make_folder(path.parent)
    with _temporary(path, resolve_links(permissions_of or path)) as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
        if os.name == "nt":  # where no open file can be renamed
            file.close()
        replace_durably(Path(file.name), path)


@contextmanager
def _temporary(path: Path, permissions_of: Path) -> Iterator[BinaryIO]:
    """Makes a file in the same folder, and removes it at the end of the block if it is still there.

    Nobody can guess its name, and what is there under that name is not opened, nor a link followed.
    It has the permissions of ``permissions_of``, if that exists, and before these no others. It is
    locked, which tells ``_sweep`` that its process is alive.
    """
    opener = partial(os.open, mode=0o600 if permissions_of.exists() else 0o666)
    while True:
        temporary = _temporary_path(path, secrets.token_hex(8))
        file = open(temporary, "xb", opener=opener)  # noqa: SIM115  closed below
        _lock(file.fileno())
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()  # swept by another process before it was locked
    try:
        keep_permissions(temporary, permissions_of)
        with file:
            yield file
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_path(path: Path, number: str) -> Path:
    return hidden_sibling(path, f".{number}.tmp")


def _lock(file: int) -> bool:
    """Locks a file until it is closed; returns False if another process has, or locks are missing.

    ``filelock`` cannot lock a file that is open already, and takes 60 ms to import.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(path: Path) -> None:
    """Removes the temporary files of processes that were killed while writing ``path``."""
    with contextlib.suppress(OSError):  # a folder may be writable and not readable
        for file in path.parent.iterdir():
            number = _RANDOM.search(file.name)
            if number is not None and file == _temporary_path(path, number[1]):
                _remove_unlocked(file)


def _remove_unlocked(path: Path) -> None:
    """Removes a file that no process has locked."""
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDWR | _NEITHER_LINK_NOR_PIPE)
        try:
            if _lock(file):
                path.unlink()
        finally:
            os.close(file)


def keep_permissions(temporary: Path, path: Path) -> None:
    """Gives a file the permissions of another one, if that is there and a regular file."""
    with contextlib.suppress(OSError):  # some file systems have no permissions
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            temporary.chmod(stat.S_IMODE(status.st_mode) & 0o777)


def replace_durably(temporary: Path, path: Path) -> None:
    """Renames a flushed file over ``path``, be that a link or not, and flushes the folder."""
    temporary.replace(path)
    _flush_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Removes a file, if it is there, so that no power cut brings it back."""
    if os.path.lexists(path):
        path.unlink()
        _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    """Flushes a folder, after the names in it were changed.

    Errors are ignored: the change is made, and the caller would take it for one that failed.
    """
    if os.name == "posix":  # elsewhere a folder cannot be opened to be flushed
        with contextlib.suppress(OSError):
            folder = os.open(path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def check_writable(path: Path) -> None:
    """Checks before long work that ``path`` can be written, and makes missing folders.

    Temporary files that killed processes left there are removed.

    Raises:
        OSError: The folder cannot be made or written, or ``path`` exists and is no regular file.
    """
    path = resolve_links(path)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file")
    make_folder(path.parent)
    _sweep(path)
    with _temporary(path, path):
        pass
