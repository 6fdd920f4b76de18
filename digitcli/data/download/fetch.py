"""Fetching a file from a mirror within a time limit, whatever the mirror does.

A separate thread reads the mirror while the caller waits, so that one limit covers everything: name
resolution, TLS handshakes, and headers that arrive byte by byte. The network libraries limit the
time between two bytes, or nothing.
"""

import time
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import url2pathname

from digitcli.data.download.transport import MirrorError, Transfer, read_file

CONNECT_TIMEOUT = 10.0
"""Seconds for a mirror to accept a connection."""

RESPONSE_TIMEOUT = 30.0
"""Seconds until a mirror begins to send a file, including redirects and headers."""

READ_TIMEOUT = 20.0
"""Seconds between the arrival of two chunks."""

MIN_SPEED = 4 * 1024
"""Minimum bytes per second on average, checked once ``READ_TIMEOUT`` has passed."""

TOTAL_TIMEOUT = 600.0
"""Seconds for a whole file; MNIST's largest then needs 17 kB per second."""


class DownloadProgress:
    """Base class for download callbacks; hooks do nothing by default."""

    def on_wait(self, holder: str) -> None:
        """Called before waiting for another process that downloads to the same folder."""

    def on_start(self, name: str, size: int | None) -> None:
        """Called when a file begins to arrive, with its bytes (None if unknown)."""

    def on_bytes(self, count: int) -> None:
        """Called with the number of bytes that arrived since the last call."""

    def on_failure(self, problem: str) -> None:
        """Called for every mirror that failed before another one served the file."""

    def on_left_out(self, problem: str) -> None:
        """Called for every image left out of a data set, with its file and the reason."""


def fetch(address: str, name: str, progress: DownloadProgress) -> Generator[bytes, None, None]:
    """Fetches a file from a mirror.

    Args:
        address: A path, or a file:// or http(s):// address.
        name: The file's name, for ``progress``.
        progress: Called when the file begins and as bytes arrive.

    Yields:
        The file's bytes as they arrive, at most ``MAX_FILE_SIZE``.

    Raises:
        MirrorError: The mirror cannot be reached, lacks the file, sends too much, or is too slow.
            Raised ``TOTAL_TIMEOUT`` seconds after the start at the latest.
    """
    read = _reader(address)
    transfer = Transfer(TOTAL_TIMEOUT)
    Thread(target=_read_mirror, args=(read, transfer), daemon=True).start()
    try:
        transfer.wait(RESPONSE_TIMEOUT)
        started, received = time.monotonic(), 0
        progress.on_start(name, transfer.size)
        while chunk := transfer.wait(READ_TIMEOUT):
            received += len(chunk)
            elapsed = time.monotonic() - started
            if elapsed > READ_TIMEOUT and received < MIN_SPEED * elapsed:
                raise MirrorError(f"too slow ({received / elapsed:.0f} bytes per second)")
            yield chunk
            progress.on_bytes(len(chunk))
    finally:
        transfer.cancel()


def _reader(address: str) -> Callable[[Transfer], None]:
    """Returns the function that reads an address, after the imports it needs.

    Raises:
        MirrorError: It is no address of a kind that can be read.
    """
    try:
        parts = urlsplit(address if "://" in address else "")
    except ValueError as error:
        raise MirrorError("not an address") from error
    if parts.scheme in ("http", "https"):
        from digitcli.data.download.http import read_web

        timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
        return lambda transfer: read_web(address, transfer, timeout)
    if parts.scheme not in ("", "file"):
        raise MirrorError("neither http(s)://, file:// nor a folder")
    path = Path(url2pathname(parts.path)) if parts.scheme else Path(address).expanduser()
    return lambda transfer: read_file(path, transfer)


def _read_mirror(read: Callable[[Transfer], None], transfer: Transfer) -> None:
    try:
        read(transfer)
        transfer.finish()
    except Exception as error:  # noqa: BLE001  raised again by the thread that waits
        transfer.finish(error)
