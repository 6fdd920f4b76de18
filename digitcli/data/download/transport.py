"""What a mirror is: a folder on disk, or an address (in ``web``) with its connections."""

import contextlib
import socket
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from digitcli.core.errors import error_reason

CHUNK = 64 * 1024
"""Bytes that are read at a time."""


class MirrorError(Exception):
    """One mirror failed, for the reason given."""


@dataclass(frozen=True)
class TransferStart:
    """A file begins to arrive.

    Attributes:
        size: How many bytes the mirror says it has, if it says so.
    """

    size: int | None


class Connections:
    """The connections that a mirror is read through, to be cut while another thread waits on them.

    A thread that waits for a byte cannot be told to stop; its connection can, and the thread ends.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def follow(self, opened: socket.socket) -> None:
        """Takes a connection in; it is cut at once if the others were."""
        with self._lock:
            # A second handle on the connection, which stays good when TLS takes the first one over.
            self._sockets.append(opened.dup())
            if self._is_cut:
                self._cut()

    def cut(self) -> None:
        """Ends all connections, and those yet to come."""
        with self._lock:
            self._is_cut = True
            self._cut()

    def _cut(self) -> None:
        for followed in self._sockets:
            with contextlib.suppress(OSError):  # the other side was faster
                followed.shutdown(socket.SHUT_RDWR)
            followed.close()
        self._sockets.clear()


def read_disk(path: Path) -> Generator[TransferStart | bytes, None, None]:
    """Reads a file of a mirror that is a folder.

    Yields:
        Its start, then its bytes.

    Raises:
        MirrorError: It is missing, cannot be read, or is no plain file, which might never end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise MirrorError("not a plain file")
        with path.open("rb") as file:
            yield TransferStart(path.stat().st_size)
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise MirrorError(error_reason(error)) from error
