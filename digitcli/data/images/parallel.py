"""Reading and preparing many images at once, in parallel and in order."""

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import Generic, TypeVar

from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray
from digitcli.data.images.decode import OpenImage
from digitcli.data.images.grayscale import to_gray
from digitcli.data.images.limits import BYTES_PER_PIXEL, MAX_PIXELS, SMALL_FILE
from digitcli.data.images.source import ImageSource

_MAX_WAITING = 256
"""Maximum number of images in flight, and of a batch: keeps memory flat."""

_MAX_DELAY = 0.05
"""Seconds that a result may wait for others to join its batch."""


class CostlyImageError(PictureError):
    """This process leaves the image to another one; see ``leave_costly_images``."""


T = TypeVar("T")
Outcome = tuple[ImageSource, T | PictureError]


def prepare_all(
    groups: Iterable[Iterable[ImageSource]],
    prepare: Callable[[Gray], T],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[list[Outcome[T]]]:
    """Prepares images, large ones in parallel, and yields the results in the order of the images.

    Args:
        groups: Images, consumed lazily. All results of a group are yielded before the next group is
            asked for, which may take long: names from a pipe.
        prepare: Called with each grayscale image; may raise a ``PictureError``.
        max_pixels: Maximum number of pixels of an image; see ``OpenImage``.

    Yields:
        Batches of sources with the result of ``prepare`` or the error. Content that is not a file
        is removed from its source, to free memory.
    """
    _tune_malloc()
    read = partial(_read, prepare, max_pixels)
    # Threads are enough: decoding and scaling, which take the time, release Python's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    room = Semaphore(2 * (os.cpu_count() or 1))
    try:
        for group in groups:
            yield from _batches(_start(source, read, pool, room) for source in group)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """A result that is there already; a ``Future`` takes longer to make than a small image."""

    value: T

    def done(self) -> bool:
        return True

    def result(self) -> T:
        return self.value


def _batches(futures: Iterable[Future[T] | _Done[T]]) -> Iterator[list[T]]:
    """Collects results in order; one that is ready is yielded within ``_MAX_DELAY``."""
    waiting: deque[Future[T] | _Done[T]] = deque()
    due = time.monotonic() + _MAX_DELAY
    for future in futures:
        waiting.append(future)
        if len(waiting) == _MAX_WAITING or (waiting[0].done() and time.monotonic() > due):
            yield _take_ready(waiting)
            due = time.monotonic() + _MAX_DELAY
    while waiting:
        yield _take_ready(waiting)


def _take_ready(waiting: deque[Future[T] | _Done[T]]) -> list[T]:
    """Waits for the first result, and takes it with those after it that are ready."""
    ready = [waiting.popleft().result()]
    while waiting and waiting[0].done():
        ready.append(waiting.popleft().result())
    return ready


def _start(
    source: ImageSource, read: Callable[[ImageSource], T], pool: ThreadPoolExecutor, room: Semaphore
) -> Future[T] | _Done[T]:
    """Reads a small image at once, and a large one in the pool, where few may hold content."""
    if source.stored_size <= SMALL_FILE:
        return _Done(read(source))
    if isinstance(source.content, Path):
        return pool.submit(read, source)
    room.acquire()
    future = pool.submit(read, source)
    future.add_done_callback(lambda _: room.release())
    return future


def _read(prepare: Callable[[Gray], T], max_pixels: int, source: ImageSource) -> Outcome[T]:
    content = source.content
    if not isinstance(content, Path):
        source = replace(source, content=b"")
    if source.error is not None:
        return source, source.error
    handled = sys.exception()
    try:
        if not isinstance(content, Path | bytes):
            return source, prepare(content)
        with OpenImage(content, max_pixels) as image, _MEMORY.reserved(image.cost):
            gray = to_gray(image.decode())
            source = replace(source, size=image.size, warning=image.warning)
            return source, prepare(gray)
    except PictureError as error:
        _forget_frames(error, handled)
        return source, error


def _forget_frames(error: BaseException, handled: BaseException | None) -> None:
    """Removes the tracebacks of an error and of its causes: their frames keep the image in memory.

    From Python 3.13 on, a frame of ``contextlib`` is among them that refers to the cause: a cycle,
    which would be freed long after the error was shown. ``handled`` is the exception that the
    caller was handling before, which keeps its traceback.
    """
    errors = [error]
    while errors:
        each = errors.pop()
        causes = each.__cause__, each.__context__
        errors += [cause for cause in causes if cause is not None and cause is not handled]
        each.__traceback__ = each.__cause__ = each.__context__ = None


class _MemoryBudget:
    """Makes threads wait until there is memory for the images they decode."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self.is_elsewhere = False
        self._changed = threading.Condition()

    def reserved(self, cost: int) -> AbstractContextManager[None]:
        """Waits until ``cost`` bytes are free, at most the whole budget; not for less than 1 MB."""
        if cost < 2**20:
            return contextlib.nullcontext()
        if self.is_elsewhere:
            raise CostlyImageError("the image takes much memory")
        return self._reserved(min(cost, self._size))

    @contextlib.contextmanager
    def _reserved(self, cost: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= cost)
            self._free -= cost
        try:
            yield
        finally:
            with self._changed:
                self._free += cost
                self._changed.notify_all()


_MEMORY = _MemoryBudget(BYTES_PER_PIXEL * MAX_PIXELS)
"""Bytes that all images being decoded may take together; a larger image is decoded alone."""


def leave_costly_images() -> None:
    """Makes images that take memory a ``CostlyImageError`` in this process.

    Of several processes that read images, one alone decodes these, so that all together keep to the
    limit of one.
    """
    _MEMORY.is_elsewhere = True


def _tune_malloc() -> None:
    """Makes glibc return large blocks to the system when they are freed, and keep small ones.

    By default each thread keeps freed blocks of up to 32 MB, and memory grows with the number of
    images. It trims the free end of its memory, and allocating a photo's many small blocks again
    takes a quarter of the time. Other C libraries have no such settings.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 4 * 2**20)  # M_MMAP_THRESHOLD; a reduced photo has a million pixels of 4 bytes
        mallopt(-1, 32 * 2**20)  # M_TRIM_THRESHOLD; enough for the small blocks of a photo
