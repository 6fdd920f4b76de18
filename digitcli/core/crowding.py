"""Noticing that other programs want the cores that a run computes on."""

import os
import sys
import time
from collections.abc import Callable

from digitcli.core.observers import EpochResult, Observer

_WINDOW = 2.0
"""Seconds over which it is judged."""

_LEAST = 0.75
"""Share of its threads' time that a run gets of the cores at least. On two cores it was 0.96 alone
and 0.6 beside one busy program, where a step of the lesson took four times as long."""


class CrowdedCores(Observer):
    """Tells, once, that the threads of a run get too little of the cores.

    Threads of OpenMP wait for each other busily, many times a step, and so for the one that has
    lost its core: a program that takes a quarter of the cores costs more than a quarter.

    Args:
        threads: How many compute. A single one waits for nobody.
        tell: Called when it is noticed.
    """

    def __init__(self, threads: int, tell: Callable[[], None]) -> None:
        self._threads, self._tell = threads, tell
        # elsewhere threads that wait may sleep, and be none the worse for it
        self._is_told = threads == 1 or sys.platform != "linux"
        self._since: tuple[float, float] | None = None

    def on_batches(self, epoch: int, batch: int) -> None:  # noqa: ARG002
        """Looks at how much time went by since, and how much of it was computed."""
        if self._is_told:
            return
        now = _clock()
        if self._since is None:
            self._since = now
        passed, computed = (later - sooner for later, sooner in zip(now, self._since, strict=True))
        if passed < _WINDOW:
            return
        self._since = now
        if computed < _LEAST * self._threads * passed:
            self._is_told = True
            self._tell()

    def on_epoch(self, result: EpochResult) -> None:  # noqa: ARG002
        """Leaves out what lies between epochs, where there is less to do at once."""
        self._since = None


def _clock() -> tuple[float, float]:
    """Returns the time and what this process has had of the cores, in seconds."""
    times = os.times()
    return time.perf_counter(), times.user + times.system
