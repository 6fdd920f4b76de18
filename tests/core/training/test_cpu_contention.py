"""Noticing that other programs use the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import Run
from drawn_digits import SmallMnist
from paths import HELPERS

from digitcli.core.training.callbacks import cpu_contention
from digitcli.core.training.callbacks.cpu_contention import CpuContention


def told(monkeypatch: pytest.MonkeyPatch, *, share: float, threads: int, seconds: int) -> int:
    """Returns the number of reports while threads wait for a core for a share of the time."""
    now = 100.0
    count = 0

    def tell() -> None:
        nonlocal count
        count += 1

    monkeypatch.setattr(
        "digitcli.core.training.callbacks.cpu_contention.time.perf_counter", lambda: now
    )
    monkeypatch.setattr(cpu_contention, "_waited", lambda: now * share)
    watch = CpuContention(threads, tell)
    for batch in range(seconds * 10):
        watch.on_batches(1, batch)
        now += 0.1
    return count


@pytest.mark.parametrize(
    ("share", "threads", "seconds", "expected"),
    [(0.6, 2, 60, 1), (0.04, 2, 60, 0), (0.6, 2, 1, 0), (0.6, 1, 60, 0), (0.4, 8, 60, 1)],
)
def test_it_is_told_once_and_only_where_threads_wait(
    share: float, threads: int, seconds: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(monkeypatch, share=share, threads=threads, seconds=seconds) == expected


TWO_ON_ONE_CORE = """
import hashlib, os, threading, time
from digitcli.core.training.callbacks.cpu_contention import _waited

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
until = time.monotonic() + 1

def compute():
    while time.monotonic() < until:
        hashlib.sha256(bytes(10**6))  # which happens outside Python's lock

threads = [threading.Thread(target=compute) for _ in range(2)]
before = _waited()
for thread in threads:
    thread.start()
time.sleep(0.9)
print(_waited() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="Linux alone keeps it")
def test_how_long_threads_stand_in_line_is_what_the_system_says() -> None:
    command = [sys.executable, "-c", TWO_ON_ONE_CORE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.3 < float(done.stdout) < 2  # each waits while the other computes


SHOWN = """
import sys
from drawn_digits import drawn_data
from digitcli.console.training import training_display
from digitcli.core.recipes import LESSON

data = drawn_data()
display = training_display(data, LESSON, None, as_json=False)
with display:
    display.on_start(data, None, None)
    display.on_batches(1, 1)
    display.bar.progress.refresh()
    display.on_contention(2)
    display.on_batches(1, 2)
    display.bar.progress.refresh()
    display.on_capture_failed("it has none")
    display.on_batches(2, 1)
"""


@pytest.mark.parametrize("is_piped", [False, True])
def test_notes_stand_above_the_bar(tmp_path: Path, is_piped: bool) -> None:
    terminal = pytest.importorskip("terminal", reason="pseudo-terminals are POSIX")
    path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color"}
    with (tmp_path / "results").open("w") as results:
        screen = terminal.run_on_terminal(
            [sys.executable, "-c", SHOWN],
            columns=200,
            output=results if is_piped else None,
            environment=environment,
        )
    assert screen.code == 0
    crowded, plain = screen.lines  # and nothing that is left of the bar
    assert crowded.startswith("digitcli: other programs use the CPU")
    assert plain.startswith("digitcli: the steps cannot be captured")
    assert "epoch 1/10" in screen.raw


def test_train_says_what_helps(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    ticks = iter(range(10**6))
    monkeypatch.setattr(cpu_contention, "_waited", lambda: float(next(ticks)))
    monkeypatch.setattr(cpu_contention, "_WINDOW", 0.0)
    flags = ("--mirror", small_mnist.folder, "--epochs", "1", "--batch-size", "32")
    result = run("train", *flags, "--output", "x.safetensors")
    assert result.exit_code == 0
    (note,) = [line for line in result.stderr.splitlines() if "other programs" in line]
    assert note.endswith("faster with OMP_NUM_THREADS=2 in front of the command")
