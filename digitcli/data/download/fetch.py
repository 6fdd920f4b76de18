"""Bytes from a mirror, in a bounded time whatever the mirror does.

The mirror is read in a thread of its own, and the caller waits for what it brings: a limit then
holds for all of it, for looking up names, shaking hands and reading headers byte by byte too.
The network libraries have limits for the time between one byte and the next, or none.
"""

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import url2pathname

from digitcli.data.download.manifest import LARGEST
from digitcli.data.download.transport import Connections, MirrorError, TransferStart, read_disk

CONNECT_TIMEOUT = 10.0
"""Seconds for a mirror to accept a connection."""

ANSWER_TIME = 30.0
"""Seconds for a mirror to begin to send a file, redirects and headers and all."""

READ_TIMEOUT = 20.0
"""Seconds for a mirror to send anything more."""

SLOWEST = 4 * 1024
"""Bytes a second; a mirror that has sent less on average after the read time-out is given up."""

TOTAL_TIME = 600.0
"""Seconds for a mirror to send one file whole; MNIST's largest takes 17 kB a second for that."""

_TICK = 0.5  # seconds; where a wait cannot be interrupted, Ctrl-C is heard so often

Reader = Callable[[Connections], Generator[TransferStart | bytes, None, None]]


class DownloadProgress:
    """Is told of a download as it goes; this one makes nothing of it."""

    def on_wait(self, holder: str) -> None:
        """Another process downloads to the same folder, and is waited for."""

    def on_start(self, name: str, size: int | None) -> None:
        """A file of so many bytes (None if the mirror does not say) begins to arrive."""

    def on_bytes(self, count: int) -> None:
        """So many more bytes of it arrived."""

    def on_failure(self, problem: str) -> None:
        """A mirror failed where a later one then served."""

    def on_left_out(self, problem: str) -> None:
        """A picture is left out of a data set."""


def fetch(address: str, name: str, progress: DownloadProgress) -> Generator[bytes, None, None]:
    """Brings a file from a mirror.

    Args:
        address: A path, or a file:// or http(s):// address.
        name: What progress calls the file.
        progress: Told that it begins, and how it goes.

    Yields:
        Its bytes, as they arrive; ``LARGEST`` at most.

    Raises:
        MirrorError: The mirror is out of reach, lacks the file, sends too much, or is too slow:
            at the latest ``TOTAL_TIME`` after the start.
    """
    read = _reader(address)
    connections = Connections()
    arriving: SimpleQueue[TransferStart | bytes | Exception | None] = SimpleQueue()
    started = began = time.monotonic()
    patience = ANSWER_TIME
    received = 0
    Thread(target=_carry, args=(read, connections, arriving), daemon=True).start()
    try:
        while (arrived := _wait(arriving, patience, started + TOTAL_TIME)) is not None:
            now = time.monotonic()
            patience = READ_TIMEOUT
            if isinstance(arrived, Exception):
                raise arrived
            if isinstance(arrived, TransferStart):
                began = now
                progress.on_start(name, arrived.size)
                continue
            received += len(arrived)
            elapsed = now - began
            if elapsed > READ_TIMEOUT and received < SLOWEST * elapsed:
                raise MirrorError(f"too slow ({received / elapsed:.0f} bytes a second)")
            yield arrived
            progress.on_bytes(len(arrived))
    finally:
        connections.cut()


def _reader(address: str) -> Reader:
    """Chooses how to read an address; what has to be imported for it is, before time counts."""
    try:
        parts = urlsplit(address if "://" in address else "")
    except ValueError as error:
        raise MirrorError("not an address") from error
    if parts.scheme in ("http", "https"):
        from digitcli.data.download.http import read_web

        timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
        return lambda connections: read_web(address, connections, timeout)
    if parts.scheme not in ("", "file"):
        raise MirrorError("neither http(s)://, file:// nor a folder")
    path = Path(url2pathname(parts.path)) if parts.scheme else Path(address).expanduser()
    return lambda _: read_disk(path)


def _carry(
    read: Reader,
    connections: Connections,
    arriving: "SimpleQueue[TransferStart | bytes | Exception | None]",
) -> None:
    """Puts what a mirror sends into a queue, with None or a fault at its end."""
    received = 0
    try:
        with contextlib.closing(read(connections)) as items:
            for item in items:
                if isinstance(item, TransferStart):
                    _check_size(item.size or 0)
                else:
                    received += len(item)
                    _check_size(received)
                arriving.put(item)
        arriving.put(None)
    except Exception as error:  # noqa: BLE001  raised again by the thread that waits
        arriving.put(error)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise MirrorError(f"sends {size:,} bytes, far more than any file has")


def _wait(
    arriving: "SimpleQueue[TransferStart | bytes | Exception | None]", patience: float, end: float
) -> TransferStart | bytes | Exception | None:
    """Takes the next thing out of the queue.

    Args:
        arriving: The queue.
        patience: Seconds to wait.
        end: When to stop in any case, by the monotonic clock.

    Raises:
        MirrorError: Nothing came by then.
    """
    deadline = min(time.monotonic() + patience, end)
    while True:
        left = deadline - time.monotonic()
        try:
            return arriving.get(timeout=max(0, min(left, _TICK)))
        except Empty:
            if left <= 0:
                late = time.monotonic() >= end
                raise MirrorError("took too long" if late else "timed out") from None
