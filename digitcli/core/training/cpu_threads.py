"""The number of CPU threads of a run, which follows what other programs leave of the cores.

OpenMP's threads busy-wait for each other many times a step, and so for one that has lost its core:
a program that uses a quarter of the cores slows a run by more than a quarter. Fewer threads are
faster then. Results do not depend on the number; see ``digitcli.core.threads``.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from digitcli.core.recipes import Recipe
from digitcli.core.threads import available_cores, sums_are_reproducible

_WINDOW = 0.1
"""Seconds between two measurements, at least: some fifty steps of the lesson."""

_MOST_WAITING = 0.25
"""Threads that may wait for a core on average. Measured on two cores: 0.02 alone; 1.4 beside one
busy program, where a step of the lesson takes fifty times as long."""

_PATIENCE = (0.5, 30.0)
"""Seconds that cores are idle before more threads are started: at first, and at most. It doubles
whenever these have to wait within ``_TRIAL``."""

_TRIAL = 1.0
"""Seconds in which it shows whether threads that were started find cores."""

_ONE_THREAD_BATCH = 16
"""Largest batch that is trained in one thread. Measured: more threads gain less than a third there,
and make a step twenty times slower where other programs use the cores."""

_TASKS = Path("/proc/self/task")
"""Linux's record of this process's threads; other systems have none."""

_CORES = Path("/proc/stat")
"""Linux's record of what each core did."""


class CpuThreads:
    """Sets torch's number of threads within a block, and adapts it there.

    Args:
        most: Number of threads where no other program uses the cores.
        adapts: Use fewer where others do; False for the same number throughout.
    """

    def __init__(self, most: int, *, adapts: bool) -> None:
        self._most, self._adapts = most, adapts and most > 1
        self._patience = _PATIENCE[0]
        self._idle_since: float | None = None
        self._last: _Usage | None = None
        self._raised = -math.inf

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Sets the number of threads within the block."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._most)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def after_batch(self) -> None:
        """Adapts the number of threads, if it is time to look."""
        now = time.perf_counter()
        if not self._adapts or (self._last is not None and now - self._last.time < _WINDOW):
            return
        usage = _usage(now)
        if self._last is not None:
            seconds = now - self._last.time
            waiting = (usage.waited - self._last.waited) / seconds
            idle = (usage.idle - self._last.idle) / seconds
            self._adapt(torch.get_num_threads(), waiting, idle, now)
        self._last = usage

    def _adapt(self, threads: int, waiting: float, idle: float, now: float) -> None:
        """Sets the number of threads.

        Args:
            threads: Present number.
            waiting: Threads that waited for a core, on average.
            idle: Cores that were idle, on average.
            now: Time in seconds.
        """
        room = min(self._most - threads, math.floor(idle + _MOST_WAITING))
        if waiting > _MOST_WAITING and threads > 1:
            torch.set_num_threads(max(1, threads - max(1, round(waiting))))
            in_vain = now - self._raised < _TRIAL
            self._patience = min(2 * self._patience, _PATIENCE[1]) if in_vain else _PATIENCE[0]
            self._idle_since = None
        elif room < 1:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= self._patience:
            torch.set_num_threads(threads + room)
            self._raised, self._idle_since = now, None


def cpu_threads(recipe: Recipe, device: torch.device, threads: int | None) -> CpuThreads:
    """Returns the threads of a run: ``threads``; if None, as many as are worth it."""
    adapts = threads is None and device.type == "cpu" and sums_are_reproducible()
    return CpuThreads(threads or thread_count(recipe), adapts=adapts)


def thread_count(recipe: Recipe) -> int:
    """Returns the number of CPU threads that train a recipe where no other program uses them."""
    if recipe.batch_size <= _ONE_THREAD_BATCH:
        return 1
    return min(torch.get_num_threads(), available_cores())


@dataclass(frozen=True)
class _Usage:
    """What the cores were used for, up to a time."""

    time: float  # in seconds
    waited: float  # seconds that threads of this process waited for a core, all together
    idle: float  # seconds that cores of this process were idle, all together


def _usage(now: float) -> _Usage:
    return _Usage(now, _waited(), _idle())


def _waited() -> float:
    """Returns the seconds that this process's threads have waited for a core; 0 if unknown.

    This is the second number of ``/proc/PID/schedstat``, in nanoseconds
    (Documentation/scheduler/sched-stats.rst of Linux).
    """
    total = 0
    # other systems, a Linux without these statistics, a thread that has just ended
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


def _idle() -> float:
    """Returns the seconds that the cores which this process may use were idle; 0 if unknown.

    This is the fourth number of a core's line in ``/proc/stat``, in ticks (proc_stat(5) of Linux).
    """
    total = 0
    with contextlib.suppress(OSError):
        allowed = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        for line in _CORES.read_text().splitlines():
            name, *ticks = line.split()
            if name in allowed:
                total += int(ticks[3])
    return total / os.sysconf("SC_CLK_TCK") if total else 0.0
