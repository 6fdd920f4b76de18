"""Opening files of unknown origin: what is no plain file is never opened, and never waited for."""

import os
import stat
from io import FileIO
from pathlib import Path


class NotRegularFileError(OSError):
    """What is at a path is a folder, a pipe, a socket or a device."""

    def __str__(self) -> str:
        return "it is not a file"


def open_regular(path: Path) -> FileIO:
    """Opens a plain file for reading, unbuffered.

    Reading a pipe waits for a writer, reading a device may never end, and opening some devices
    alone does something; so a path is looked at first, and once more when it is open, in case
    that somebody has put something else there in between.

    Raises:
        NotRegularFileError: There is something else at the path.
        OSError: It cannot be opened.
        ValueError: It can be no path: there is a NUL in it.
    """
    _check(os.stat(path))  # noqa: PTH116  Path's is slower, and thousands may be opened
    # without waiting, should it be a pipe by now; Windows has no such flag, and needs the other
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = FileIO(os.open(path, flags), "rb")
    try:
        _check(os.fstat(file.fileno()))
    except NotRegularFileError:
        file.close()
        raise
    return file


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularFileError
