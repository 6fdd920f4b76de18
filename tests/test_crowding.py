"""Noticing that other programs want the cores."""

import sys

import pytest
import torch
from conftest import Run

from digitcli.core import crowding
from digitcli.core.crowding import CrowdedCores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="is noticed on Linux alone")


def told(monkeypatch: pytest.MonkeyPatch, *, share: float, threads: int, seconds: int) -> int:
    """Returns how often it is told while a run gets this share of its threads' time."""
    clock = [0.0, 0.0]
    count = 0

    def tell() -> None:
        nonlocal count
        count += 1

    monkeypatch.setattr(crowding, "_clock", lambda: tuple(clock))
    watch = CrowdedCores(threads, tell)
    for batch in range(seconds * 10):
        watch.on_batches(1, batch)
        clock[0] += 0.1
        clock[1] += 0.1 * threads * share
    return count


@pytest.mark.parametrize(
    ("share", "threads", "seconds", "expected"),
    [(0.6, 2, 60, 1), (0.96, 2, 60, 0), (0.6, 2, 1, 0), (0.6, 1, 60, 0), (0.5, 8, 60, 1)],
)
def test_it_is_told_once_and_only_where_threads_wait(
    share: float, threads: int, seconds: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(monkeypatch, share=share, threads=threads, seconds=seconds) == expected


def test_train_says_what_helps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    ticks = iter(range(10**6))
    monkeypatch.setattr(crowding, "_clock", lambda: (float(next(ticks)), 0.0))
    flags = ("--dataset", "optdigits", "--epochs", "1", "--batch-size", "32")
    result = run("train", *flags, "--output", "x.safetensors")
    assert result.exit_code == 0
    (note,) = [line for line in result.stderr.splitlines() if "other programs" in line]
    assert note.endswith("faster with OMP_NUM_THREADS=1 in front of the command")
