"""Reading and preparing many pictures at once, in parallel and in order."""

import itertools
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Semaphore
from typing import Protocol

import numpy as np

from digitcli.core.errors import PictureError
from digitcli.data.paper import Grey
from digitcli.data.pictures import read_picture
from digitcli.data.prepare import Digit, Watch, prepare

_WAITING = 256
"""Pictures in hand at most, which is also the largest batch: memory stays flat."""

_PATIENCE = 0.05
"""Seconds that a result is kept back at most, so that others can join its batch."""

_SMALL = 32 * 1024
"""Bytes up to which a file is decoded faster than it is handed to a thread and back."""


@dataclass(frozen=True)
class Source:
    """Where a picture comes from.

    Attributes:
        name: What it is called in the results.
        content: A file, a file's content, a picture in grey as ``read_picture`` gives it, or what
            is wrong with it.
        folder: The folder it was found in, as the user named it; None if it was named itself.
    """

    name: str
    content: Path | bytes | Grey | PictureError
    folder: str | None = None


Prepared = tuple[Source, Digit | PictureError]


class Prepare(Protocol):
    """Brings a grey picture to the form that a network was trained on, as ``prepare`` does."""

    def __call__(self, grey: Grey, watch: Watch = ...) -> Digit:
        """See ``digitcli.data.prepare.prepare``."""
        ...


def prepare_all(
    sources: Iterable[Source | None], prepare: Prepare = prepare
) -> Iterator[list[Prepared]]:
    """Prepares pictures, large ones in parallel, and yields them in the order they were given.

    Args:
        sources: Drawn from only as far as pictures are needed. None among them says that the next
            may be long in coming, so that nothing is kept back for it.
        prepare: How.

    Yields:
        Batches of sources with their digits, or with what is wrong with them. What was given as
        content and not as a file is no longer in its source.
    """
    # Threads: decoding and scaling, which are what takes long, happen outside Python's lock.
    pool = ThreadPoolExecutor(os.cpu_count())
    room = Semaphore(2 * (os.cpu_count() or 1))
    waiting: deque[Future[Prepared]] = deque()
    batch: list[Prepared] = []
    due = 0.0
    try:
        for source in itertools.chain(sources, [None]):
            if source is not None:
                waiting.append(_begin(source, prepare, pool, room))
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
    source: Source, prepare: Prepare, pool: ThreadPoolExecutor, room: Semaphore
) -> "Future[Prepared]":
    """Prepares a small picture at once, and has a large one prepared.

    Args:
        source: The picture.
        prepare: How.
        pool: Where large ones are prepared.
        room: For those whose pixels or content wait in memory.
    """
    if _size(source.content) <= _SMALL:
        done: Future[Prepared] = Future()
        done.set_result(_prepare_one(source, prepare))
        return done
    if isinstance(source.content, Path):
        return pool.submit(_prepare_one, source, prepare)
    room.acquire()
    begun = pool.submit(_prepare_one, source, prepare)
    begun.add_done_callback(lambda _: room.release())
    return begun


def _size(content: Path | bytes | Grey | PictureError) -> int:
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


def _prepare_one(source: Source, prepare: Prepare) -> Prepared:
    rest = source if isinstance(source.content, Path) else replace(source, content=b"")
    try:
        return rest, prepare(_grey(source.content))
    except PictureError as error:
        return rest, error


def _grey(content: Path | bytes | Grey | PictureError) -> Grey:
    if isinstance(content, PictureError):
        raise content
    return content if isinstance(content, np.ndarray) else read_picture(content)


def read_names(blocks: Iterable[bytes]) -> Iterator[str | None]:
    """Parts a stream of file names: at NUL if there is one in its first block, else at newlines.

    Args:
        blocks: The stream, as it arrives.

    Yields:
        Names, without the empty ones; None before each wait for a further block.
    """
    separator, rest = b"", b""
    for block in blocks:
        separator = separator or (b"\0" if b"\0" in block else b"\n")
        *names, rest = (rest + block).split(separator)
        yield from (os.fsdecode(name) for name in names if name)
        yield None
    if rest:
        yield os.fsdecode(rest)
