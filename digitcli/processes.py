"""Reading many small images in several processes.

Python reads a few thousand small images a second, in one thread at a time: decoding releases
Python's lock, but that is the smaller part of the work. Large images gain nothing from this; see
``digitcli.data.images.parallel``, which decodes them in threads.
"""

import contextlib
import functools
import gc
import itertools
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self

from digitcli.classifier import Answer, Classifier
from digitcli.console.streams import print_note
from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.errors import PictureError, error_reason
from digitcli.core.threads import available_cores
from digitcli.data.images.limits import MANY, SMALL_FILE
from digitcli.data.images.parallel import CostlyImageError, leave_costly_images
from digitcli.data.images.source import ImageSource
from digitcli.text import visible

if TYPE_CHECKING:  # a single image is read without them
    from concurrent.futures import ProcessPoolExecutor

_ALONE = 64
"""Images that the calling process reads before it looks whether many follow, which may be slow."""

_BLOCK = 128
"""Images that a process is handed at a time."""

_MOST_JOBS = 8
"""Maximum number of processes by default: each takes memory, and all hand their results to one."""

_NOT_STARTED = (ImportError, OSError, EOFError, RuntimeError)
"""Errors of starting a process: no semaphores, memory, threads or processes are left, or a server
that starts processes has none and ends."""

Result = tuple[ImageSource, Answer | PictureError]
_SentResult = tuple[tuple[int, int], str | None, Answer | PictureError]
"""A result without its source, whose ``size`` and ``warning`` it has instead: the path of a file
takes longer to send than an answer."""

Read = Callable[
    [Classifier, Iterable[Iterable[ImageSource]], int],
    Iterator[tuple[ImageSource, Answer | PictureError]],
]
"""``Classifier.predict_sources`` or ``Classifier.read_sources``."""


def read_in_processes(
    classifier: Classifier,
    read: Read[Answer],
    groups: Iterable[Iterable[ImageSource]],
    max_pixels: int,
    jobs: int | None = None,
    *,
    note: Callable[[str], None] = print_note,
) -> Iterator[Result[Answer]]:
    """Reads images in several processes once there are many small ones, in order.

    Where no process can be started, or none any more, the calling one reads.

    Args:
        classifier: Reads the images.
        read: The method of it to call, as a function.
        groups: Images; see ``digitcli.data.images.parallel.prepare_all``.
        max_pixels: Maximum number of pixels of an image.
        jobs: Number of processes; None for ``available_cores``, at most 8.
        note: Called with a line for the user if no process can be started.

    Yields:
        What ``read`` yields. An image that ends the process which reads it is an error.
    """
    if jobs == 1:
        yield from read(classifier, groups, max_pixels)
        return
    seen = small = 0

    def count(sources: Iterable[ImageSource]) -> Iterator[ImageSource]:
        nonlocal seen, small
        for source in sources:
            seen += 1
            small += _is_small(source)
            yield source

    with _Processes(classifier, read, max_pixels, jobs, note) as processes:
        for group in groups:
            sources = iter(group)
            first = count(itertools.islice(sources, max(0, _ALONE - seen)))
            yield from read(classifier, [first], max_pixels)
            ahead = list(count(itertools.islice(sources, max(0, MANY - seen))))
            rest = itertools.chain(ahead, sources)
            if seen >= MANY and 2 * small > seen:
                yield from processes.read(rest)
            else:
                yield from read(classifier, [rest], max_pixels)


class _Processes(Generic[Answer]):
    """Processes that read images; they start when there is something to read."""

    def __init__(
        self,
        classifier: Classifier,
        read: Read[Answer],
        max_pixels: int,
        jobs: int | None,
        note: Callable[[str], None],
    ) -> None:
        self._classifier, self._max_pixels = classifier, max_pixels
        self._read: Read[Answer] = read
        self._given_jobs = jobs
        self._note = note
        self._pool: ProcessPoolExecutor | None = None
        self._starting: Future[Future[None]] | None = None
        self._cannot_start = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._starting is not None:
            wait([self._starting])
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            if self._cannot_start or not self._have_started:
                _end_children()

    @functools.cached_property
    def _jobs(self) -> int:
        return self._given_jobs or min(available_cores(), _MOST_JOBS)

    def read(self, sources: Iterable[ImageSource]) -> Iterator[Result[Answer]]:
        """Reads images in order; in this process as long as the others are starting."""
        waiting: deque[_Submitted[Answer]] = deque()
        while block := list(itertools.islice(sources := iter(sources), _BLOCK)):
            if not waiting and not self._are_ready():
                yield from self._read_here(block)
                continue
            if submitted := self._submit(block):
                waiting.append(submitted)
            while waiting and (len(waiting) > 2 * self._jobs or not submitted):
                yield from self._results(waiting.popleft())
            if not submitted:
                yield from self._read_here(block)
        while waiting:
            yield from self._results(waiting.popleft())

    def _read_here(self, sources: list[ImageSource]) -> Iterator[Result[Answer]]:
        return self._read(self._classifier, [sources], self._max_pixels)

    def _are_ready(self) -> bool:
        if self._jobs == 1 or self._cannot_start:
            return False
        try:
            if self._starting is None:
                self._starting = ThreadPoolExecutor(1).submit(self._start_first)
                return False
            if self._starting.done() and (started := self._starting.result()).done():
                started.result()
                return True
        except _NOT_STARTED as error:
            self._give_up(error)
        return False

    @property
    def _have_started(self) -> bool:
        """True if a process of the first pool has answered."""
        starting = self._starting
        if starting is None or not starting.done() or starting.exception() is not None:
            return False
        return starting.result().done()

    def _start_first(self) -> Future[None]:
        """Starts the first pool, which blocks for as long as Python takes to start.

        Returns:
            The result of a call in the pool: there is one once a process is ready.
        """
        self._pool = self._start()
        with _interrupts_blocked():
            started, *_ = [self._pool.submit(_do_nothing) for _ in range(self._jobs)]
        return started

    def _give_up(self, error: BaseException) -> None:
        """Starts no further process, and reports it once."""
        if not self._cannot_start:
            reason = error_reason(error) if isinstance(error, OSError) else str(error)
            self._note(
                f"cannot start more processes ({visible(reason or type(error).__name__)}): "
                "reading the images in one, which is slower"
            )
        self._cannot_start = True

    def _start(self) -> "ProcessPoolExecutor":
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import resource_tracker

        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if context.get_start_method() == "forkserver":
            context.set_forkserver_preload([__name__])
        with _silenced_tracker():
            resource_tracker.ensure_running()
        # the weights themselves: their file may be another by now
        arguments = self._classifier.checkpoint, self._classifier.path, self._read, self._max_pixels
        return ProcessPoolExecutor(self._jobs, context, _start_worker, arguments)

    def _submit(self, block: list[ImageSource]) -> "_Submitted[Answer] | None":
        """Hands a block to a process, in a new pool if the last one has broken.

        Returns None if no process can be started.
        """
        if self._cannot_start:
            return None
        try:
            if self._pool is None:
                self._pool = self._start()
            pool = self._pool
            with _interrupts_blocked():
                return _Submitted(block, pool, pool.submit(_read_block, block))
        except BrokenExecutor as error:  # an earlier block, which is waited for first, has it too
            failed: Future[list[_SentResult[Answer]]] = Future()
            failed.set_exception(error)
            return _Submitted(block, pool, failed)
        except _NOT_STARTED as error:
            self._give_up(error)
            return None

    def _discard(self, pool: "ProcessPoolExecutor") -> None:
        """Leaves a pool that has broken, unless another one has taken its place."""
        if self._pool is pool:
            self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)

    def _results(self, submitted: "_Submitted[Answer]") -> Iterator[Result[Answer]]:
        """Yields the results of a block, with those of images that were left to this process."""
        try:
            results = submitted.future.result()
        except BrokenExecutor:
            self._discard(submitted.pool)
            results = self._read_each(submitted.block)
        for source, (size, warning, answer) in zip(submitted.block, results, strict=True):
            if isinstance(answer, CostlyImageError):
                yield from self._read_here([source])
            else:
                yield source.decoded(size, warning), answer

    def _read_each(self, block: list[ImageSource]) -> list[_SentResult[Answer]]:
        """Reads images one by one, of which one has ended a process."""
        results: list[_SentResult[Answer]] = []
        for source in block:
            submitted = self._submit([source])
            if submitted is None:  # reading it here could end this process
                problem = "the process that read the image has ended, and no other can be started"
                results.append(_failed(PictureError(problem, "give --jobs 1")))
                continue
            try:
                results += submitted.future.result()
            except BrokenExecutor:
                self._discard(submitted.pool)
                problem = "the process that read the image has ended, possibly out of memory"
                results.append(_failed(PictureError(problem, "leave it out, or give --jobs 1")))
        return results


def _failed(error: PictureError) -> _SentResult[Any]:
    return (0, 0), None, error


class _Submitted(NamedTuple, Generic[Answer]):
    """A block of images that a pool reads."""

    block: list[ImageSource]
    pool: "ProcessPoolExecutor"
    future: Future[list[_SentResult[Answer]]]


def _end_children() -> None:
    """Ends processes that have not started yet: Python would wait for them at its own end.

    Without the thread that hands them work, which may not have started, they would never end.
    """
    import multiprocessing

    for child in multiprocessing.active_children():
        child.terminate()


def _is_small(source: ImageSource) -> bool:
    return isinstance(source.content, Path) and 0 < source.stored_size <= SMALL_FILE


@contextlib.contextmanager
def _silenced_tracker() -> Iterator[None]:
    """Starts multiprocessing's tracker such that it is silent when this process is killed.

    It frees what the pool leaves behind then, and would warn of it in two lines.
    """
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        yield
    finally:
        sys.warnoptions.pop()


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Starts processes with Ctrl-C blocked: this process alone answers it, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: list[Callable[[list[ImageSource]], Iterator[Result[Any]]]] = []
"""Reads a block of images, in a process that was started here; else empty."""


def _start_worker(checkpoint: Checkpoint, path: Path, read: Read[Any], max_pixels: int) -> None:
    """Prepares a process that reads images."""
    classifier = Classifier(checkpoint, path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    except RuntimeError:  # there are no threads left; the pool would print the traceback
        os._exit(1)
    leave_costly_images()
    gc.freeze()
    _work.append(lambda sources: read(classifier, [sources], max_pixels))


def _end_with_parent() -> None:
    """Waits for the calling process, which may be killed, and ends this one."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do_nothing() -> None:
    pass


def _read_block(sources: list[ImageSource]) -> list[_SentResult[Any]]:
    return [(source.size, source.warning, answer) for source, answer in _work[0](sources)]
