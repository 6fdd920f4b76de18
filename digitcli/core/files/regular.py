"""Opening files of unknown origin: only regular files are opened, so no open can block."""

import os
import stat
from io import FileIO
from pathlib import Path


class NotRegularFileError(OSError):
    """A path leads to a folder, a pipe, a socket or a device."""

    def __str__(self) -> str:
        return "not a file"


def open_regular(path: Path) -> FileIO:
    """Opens a regular file for reading, unbuffered.

    Reading a pipe waits for a writer, reading a device may never end, and opening some devices has
    effects. So the type is checked before opening, and again after in case the file was replaced.

    Raises:
        NotRegularFileError: The path leads to something else.
        OSError: The file cannot be opened.
        ValueError: The path holds a NUL.
    """
    _check(os.stat(path))  # noqa: PTH116  Path.stat is slower, and thousands may be opened
    # O_NONBLOCK: do not wait for a pipe's writer. O_BINARY exists on Windows only.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags)
    try:
        _check(os.fstat(file))
        return FileIO(file, "rb")
    except OSError:
        os.close(file)
        raise


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularFileError
