"""As many threads train as other programs leave cores for; any number gives the same weights."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from commands import Run
from drawn_digits import SmallMnist, drawn_data
from training_runs import run_training

from digitcli.core.recipes import BEST, LESSON, QUICK, Recipe
from digitcli.core.threads import sums_are_reproducible
from digitcli.core.training import cpu_threads
from digitcli.core.training.cpu_threads import CpuThreads


class Computer:
    """A computer whose clock and cores a test controls; it has as many threads as asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
        self.cores, self.others, self.threads = cores, 0, cores
        self.now = self.waited = self.idle = 0.0
        monkeypatch.setattr(
            "digitcli.core.training.cpu_threads.time.perf_counter", lambda: self.now
        )
        monkeypatch.setattr(cpu_threads, "_waited", lambda: self.waited)
        monkeypatch.setattr(cpu_threads, "_idle", lambda: self.idle)
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda count: setattr(self, "threads", count))

    def train(self, run: CpuThreads, seconds: float) -> list[int]:
        """Takes steps, and returns the number of threads after each."""
        counts = []
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            surplus = self.threads + self.others - self.cores
            self.waited += 0.01 * max(0, min(surplus, self.threads))
            self.idle += 0.01 * max(0, -surplus)
            run.after_batch()
            counts.append(self.threads)
        return counts


@pytest.mark.parametrize(
    ("cores", "others", "expected"), [(2, 0, 2), (2, 1, 1), (2, 2, 1), (16, 1, 15), (16, 20, 1)]
)
def test_threads_use_the_cores_that_other_programs_leave(
    cores: int, others: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer = Computer(monkeypatch, cores)
    run = CpuThreads(cores, adapts=True)
    assert set(computer.train(run, 5)) == {cores}
    computer.others = others
    counts = computer.train(run, 5)
    assert counts[30:] == [expected] * len(counts[30:])  # within 0.3 s
    computer.others = 0
    assert computer.train(run, 5)[-1] == cores


def test_threads_that_are_started_in_vain_are_started_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computer = Computer(monkeypatch, 2)
    run = CpuThreads(2, adapts=True)
    computer.train(run, 1)
    computer.cores = 1  # as where a container may use one
    monkeypatch.setattr(cpu_threads, "_idle", lambda: computer.now)  # of another's core
    counts = computer.train(run, 300)
    first, last = counts[: len(counts) // 3], counts[-len(counts) // 3 :]
    assert first.count(2) > 2 * last.count(2) > 0


def test_a_number_that_was_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Computer(monkeypatch, 2)
    run = CpuThreads(2, adapts=False)
    computer.others = 2
    assert set(computer.train(run, 5)) == {2}


def test_the_number_of_a_program_is_restored() -> None:
    before = torch.get_num_threads()
    with CpuThreads(before + 1, adapts=True).in_use():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("batch_size", "expected"), [(64, 3), (16, 1)])
def test_threads_keep_within_the_quota_of_a_container(
    batch_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Computer(monkeypatch, cores=64)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 3)
    assert cpu_threads.thread_count(replace(LESSON, batch_size=batch_size)) == expected


TWO_ON_ONE_CORE = """
import hashlib, os, threading, time
from digitcli.core.training.cpu_threads import _idle, _waited

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
until = time.monotonic() + 1

def compute():
    while time.monotonic() < until:
        hashlib.sha256(bytes(10**6))  # which happens outside Python's lock

threads = [threading.Thread(target=compute) for _ in range(2)]
before, idle = _waited(), _idle()
for thread in threads:
    thread.start()
time.sleep(0.9)
print(_waited() - before, _idle() - idle)
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="Linux alone keeps it")
def test_how_long_threads_wait_and_cores_are_idle_is_what_the_system_says() -> None:
    command = [sys.executable, "-c", TWO_ON_ONE_CORE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    waited, idle = map(float, done.stdout.split())
    assert 0.3 < waited < 2  # each waits while the other computes
    assert 0 <= idle < 0.5  # and the core is busy


@pytest.mark.skipif(not sums_are_reproducible(), reason="this torch has no MKL")
@pytest.mark.parametrize("recipe", [LESSON, QUICK, BEST], ids=lambda recipe: recipe.name)
def test_any_number_of_threads_gives_the_same_weights(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = drawn_data(outliers=50, synthetic=40)
    short = replace(recipe, epochs=2, batch_size=64)
    one, two = (run_training(data, short, seed=3, threads=n).checkpoint.weights for n in (1, 2))
    changing = iter(range(10**6))
    monkeypatch.setattr(
        CpuThreads, "after_batch", lambda _: torch.set_num_threads(1 + next(changing) % 2)
    )
    adapted = run_training(data, short, seed=3).checkpoint.weights
    for name, weight in one.items():
        assert np.array_equal(two[name], weight)
        assert np.array_equal(adapted[name], weight)


def test_train_takes_the_number_that_it_is_given(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(CpuThreads, "after_batch", lambda _: counts.append(torch.get_num_threads()))
    flags = ("--mirror", small_mnist.folder, "--epochs", "1", "--threads", "2")
    assert run("train", *flags, "--output", "x.safetensors").exit_code == 0
    assert set(counts) == {2}
    assert run("train", *flags[:-1], "0").exit_code == 2
