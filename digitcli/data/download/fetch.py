"""Fetching a file from a mirror within a time limit, whatever the mirror does.

A thread reads the mirror while the caller waits, so that the limit covers everything: name
resolution, TLS handshakes, headers that arrive byte by byte. The network libraries limit only the
time between two bytes.
"""

import time
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import url2pathname

from digitcli.data.download.transport import MirrorError, Transfer, read_file

# Limits in seconds
CONNECT_TIMEOUT = 10.0  # for a mirror to accept a connection
RESPONSE_TIMEOUT = 30.0  # until a mirror begins to send a file, after redirects and headers
READ_TIMEOUT = 20.0  # between the arrival of two chunks
TOTAL_TIMEOUT = 600.0  # for a whole file; MNIST's largest then needs 17 kB per second

MIN_SPEED = 4 * 1024
"""Minimum bytes per second on average, checked once ``READ_TIMEOUT`` has passed."""


class DownloadProgress:
    """Base class for download callbacks; hooks do nothing by default."""

    def on_start(self, name: str, size: int | None) -> None:
        """Called when a file begins to arrive, with its bytes (None if unknown)."""

    def on_bytes(self, count: int) -> None:
        """Called with the number of bytes that arrived since the last call."""

    def on_message(self, text: str) -> None:
        """Called when another process is waited for, a mirror failed, or an image is left out."""


def fetch(address: str, name: str, progress: DownloadProgress) -> Generator[bytes, None, None]:
    """Yields the bytes of a file as they arrive from a mirror.

    ``address`` is a path, or a file:// or http(s):// address; ``name`` is for ``progress``.

    Raises:
        MirrorError: The mirror cannot be reached, lacks the file, sends too much, or is too slow.
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


def mirror_folder(mirror: str) -> Path | None:
    """Returns the folder that a mirror is, None for one on the network.

    Raises:
        MirrorError: It is neither a folder nor an address that can be read.
    """
    try:
        parts = urlsplit(mirror if "://" in mirror else "")
    except ValueError as error:
        raise MirrorError("not an address") from error
    if parts.scheme in ("http", "https"):
        return None
    if parts.scheme not in ("", "file"):
        raise MirrorError("neither http(s)://, file:// nor a folder")
    return Path(url2pathname(parts.path)) if parts.scheme else Path(mirror)


def _reader(address: str) -> Callable[[Transfer], None]:
    """Returns a function that reads an address, after importing what it needs."""
    path = mirror_folder(address)
    if path is None:
        from digitcli.data.download.http import read_web

        timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
        return lambda transfer: read_web(address, transfer, timeout)
    return lambda transfer: read_file(path, transfer)


def _read_mirror(read: Callable[[Transfer], None], transfer: Transfer) -> None:
    try:
        read(transfer)
        transfer.finish()
    except Exception as error:  # noqa: BLE001  raised again by the thread that waits
        transfer.finish(error)
