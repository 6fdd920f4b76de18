"""Detecting that other programs use the cores that a run computes on."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from digitcli.core.training.callbacks.callback import Callback

_WINDOW = 2.0
"""Seconds between two measurements."""

_MOST_WAITING = 0.25
"""Seconds that all threads together may wait for a core in each second. Measured on two cores: 0.02
alone; 1.4 beside one busy program, where a step of the lesson takes fifty times as long."""

_TASKS = Path("/proc/self/task")
"""Linux's record of this process's threads; other systems have none."""


class CpuContention(Callback):
    """Reports once that the threads of a run wait for the cores.

    OpenMP's threads busy-wait for each other many times a step, and so for one that has lost its
    core: a program that uses a quarter of the cores slows a run by more than a quarter. A single
    thread waits for no other.
    """

    def __init__(self, threads: int, report: Callable[[], None]) -> None:
        self._report = report
        self._done = threads == 1
        self._last: tuple[float, float] | None = None

    @override
    def on_batches(self, epoch: int, batch: int) -> None:
        now = time.perf_counter()
        if self._done or (self._last is not None and now - self._last[0] < _WINDOW):
            return
        waited = _waited()
        if self._last is not None:
            then, before = self._last
            if waited - before > _MOST_WAITING * (now - then):
                self._done = True
                self._report()
        self._last = now, waited


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
