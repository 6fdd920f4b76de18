"""Noticing that other programs want the cores that a run computes on."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from digitcli.core.training.callbacks.callback import Callback

_WINDOW = 2.0
"""Seconds over which it is judged."""

_MOST = 0.25
"""Seconds that threads may stand in line for a core, all together, in each second. On two cores it
was 0.02 alone, and 1.4 beside one busy program, where a step of the lesson took fifty times as
long."""

_TASKS = Path("/proc/self/task")
"""Where Linux tells of a process's threads; other systems do not."""


class CpuContention(Callback):
    """Tells, once, that the threads of a run stand in line for the cores.

    Threads of OpenMP wait for each other busily, many times a step, and so for the one that has
    lost its core: a program that takes a quarter of the cores costs more than a quarter.

    Args:
        threads: How many compute. A single one waits for nobody.
        tell: Called when it is noticed.
    """

    def __init__(self, threads: int, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._is_told = threads == 1
        self._since: tuple[float, float] | None = None

    def on_batches(self, epoch: int, batch: int) -> None:  # noqa: ARG002
        """Looks, every two seconds, how long they stood in line since."""
        now = time.perf_counter()
        if self._is_told or (self._since is not None and now - self._since[0] < _WINDOW):
            return
        waited = _waited()
        if self._since is not None:
            seconds, before = self._since
            if waited - before > _MOST * (now - seconds):
                self._is_told = True
                self._tell()
        self._since = now, waited


def _waited() -> float:
    """Returns how long this process's threads stood in line so far: seconds, 0 where unknown.

    It is the second number of ``/proc/PID/schedstat``, in nanoseconds
    (Documentation/scheduler/sched-stats.rst of Linux).
    """
    total = 0
    # no Linux, one that keeps no such record, or a thread that has just ended
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9
