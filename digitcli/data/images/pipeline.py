"""Reading and preparing many pictures at once, in parallel and in order."""

import contextlib
import ctypes
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import TypeVar

import numpy as np

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray
from digitcli.data.images.decode import OpenPicture
from digitcli.data.images.grayscale import as_grey
from digitcli.data.images.limits import MAX_PIXELS, PIXEL

_WAITING = 256
"""Pictures in hand at most, which is also the largest batch: memory stays flat."""

_PATIENCE = 0.05
"""Seconds that a result is kept back at most, so that others can join its batch."""

_SMALL = 32 * 1024
"""Bytes up to which a file is decoded faster than it is handed to a thread and back."""


Content = Path | bytes | Gray | PictureError
"""A file, a file's content, a picture in grey as ``read_picture`` gives it, or what is wrong."""


@dataclass(frozen=True)
class ImageSource:
    """Where a picture comes from.

    Attributes:
        name: What it is called in the results.
        content: What is to be read.
        folder: The folder it was found in, as the user named it; None if it was named itself.
        size: Width and height of the picture as it is seen, where it has been read.
    """

    name: str
    content: Content
    folder: str | None = None
    size: tuple[int, int] = (0, 0)


Prepared = TypeVar("Prepared")
Outcome = tuple[ImageSource, Prepared | PictureError]
_Read = Callable[[ImageSource], Outcome[Prepared]]


def prepare_all(
    sources: Iterable[ImageSource | None],
    prepare: Callable[[Gray], Prepared],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[list[Outcome[Prepared]]]:
    """Prepares pictures, large ones in parallel, and yields them in the order they were given.

    Args:
        sources: Drawn from only as far as pictures are needed. None among them says that the next
            may be long in coming, so that nothing is kept back for it.
        prepare: Makes of a picture in grey what is wanted; it may raise a ``PictureError``.
        max_pixels: Pixels that may be decoded of a picture; see ``OpenPicture``.

    Yields:
        Batches of sources with what was made of them, or with what is wrong with them. What was
        given as content and not as a file is no longer in its source.
    """
    _set_memory()
    read = partial(_prepare_one, max_pixels, prepare)
    # Threads: decoding and scaling, which are what takes long, happen outside Python's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    room = Semaphore(2 * (os.cpu_count() or 1))
    waiting: deque[Future[Outcome[Prepared]]] = deque()
    batch: list[Outcome[Prepared]] = []
    due = 0.0
    try:
        for source in itertools.chain(sources, [None]):
            if source is not None:
                waiting.append(_begin(source, read, pool, room))
            while waiting and (source is None or waiting[0].done() or len(waiting) >= _WAITING):
                if batch and (len(batch) == _WAITING or not waiting[0].done()):
                    yield batch
                    batch = []
                if not batch:
                    due = time.monotonic() + _PATIENCE
                batch.append(waiting.popleft().result())
            if batch and (source is None or time.monotonic() > due):
                yield batch
                batch = []
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(
    source: ImageSource, read: _Read[Prepared], pool: ThreadPoolExecutor, room: Semaphore
) -> "Future[Outcome[Prepared]]":
    """Prepares a small picture at once, and has a large one prepared.

    Args:
        source: The picture.
        read: Makes of a source what is wanted of it.
        pool: Where large ones are prepared.
        room: For those whose pixels or content wait in memory.
    """
    if _size(source.content) <= _SMALL:
        done: Future[Outcome[Prepared]] = Future()
        done.set_result(read(source))
        return done
    if isinstance(source.content, Path):
        return pool.submit(read, source)
    room.acquire()
    begun = pool.submit(read, source)
    begun.add_done_callback(lambda _: room.release())
    return begun


def _size(content: Content) -> int:
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, np.ndarray):
        return content.size
    if isinstance(content, PictureError):
        return 0
    try:
        return content.stat().st_size
    except (OSError, ValueError):
        return 0  # reading it will say what is wrong


def _prepare_one(
    max_pixels: int, prepare: Callable[[Gray], Prepared], source: ImageSource
) -> Outcome[Prepared]:
    rest = source if isinstance(source.content, Path) else replace(source, content=b"")
    try:
        if isinstance(source.content, PictureError):
            raise source.content
        if isinstance(source.content, np.ndarray):
            return rest, prepare(source.content)
        with OpenPicture(source.content, max_pixels) as picture, _MEMORY.taken(picture.cost):
            grey = as_grey(picture.decode())
            rest = ImageSource(rest.name, rest.content, rest.folder, picture.size)
            return rest, prepare(grey)
    except PictureError as error:
        # what led to it would keep the picture in memory until the error is told
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return rest, error


class _Memory:
    """Lets threads wait until there is memory for what they are about to do."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    def taken(self, cost: int) -> contextlib.AbstractContextManager[None]:
        """Waits for so many bytes, or for all, if that is less; for a few it does not wait."""
        if cost < _FEW:
            return contextlib.nullcontext()
        return self._taken(min(cost, self._size))

    @contextlib.contextmanager
    def _taken(self, cost: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= cost)
            self._free -= cost
        try:
            yield
        finally:
            with self._changed:
                self._free += cost
                self._changed.notify_all()


_FEW = 2**20
"""Bytes that are not worth the waiting."""

_MEMORY = _Memory(PIXEL * MAX_PIXELS)
"""What all pictures that are being decoded take together; a larger one is decoded alone."""


def _set_memory() -> None:
    """Has large pieces of memory go back to the system when they are freed, and small ones stay.

    The GNU C library keeps for every thread what that has freed, in pieces of up to 32 MB, and
    the more pictures there were, the more it keeps. But it gives back what is free at the end of a
    thread's memory, a photo's many small pieces too, and to fetch those anew takes a quarter of the
    time. Other libraries have no such settings.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_PIECE)
        library.mallopt(_M_TRIM_THRESHOLD, _FREE_END)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""As malloc.h has them; mallopt(3) says what they do."""

_LARGE_PIECE = 4 * 2**20
"""Bytes; a photo is reduced to about a million pixels of four."""

_FREE_END = 32 * 2**20
"""Bytes that a thread keeps at the end of its memory: what a photo needs beside large pieces."""


def read_names(blocks: Iterable[bytes]) -> Iterator[str | None]:
    r"""Parts a stream of file names: at NUL if there is one in its first block, else at newlines.

    Of a name before a newline one CR at its end is taken away, as lists from Windows have it; a
    name that has one of its own can be given with NULs.

    Args:
        blocks: The stream, as it arrives.

    Yields:
        Names, without the empty ones; None before each wait for a further block.
    """
    separator, rest = b"", b""
    for block in blocks:
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *names, rest = (rest + block).split(separator)
        yield from _decoded(names, separator)
        yield None
    yield from _decoded([rest], separator)


def _decoded(names: list[bytes], separator: bytes) -> Iterator[str]:
    for name in names:
        whole = name if separator == b"\0" else name.removesuffix(b"\r")
        if whole:
            yield os.fsdecode(whole)
