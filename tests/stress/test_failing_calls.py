"""A part of the storm of failing calls, drawn by a fixed seed; ``failing_calls.py`` runs all."""

import random
import shutil
import sys
from collections.abc import Iterator

import pytest
from failing_calls import SCENARIOS, Storm, plan, storm

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="preloads a library"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler"),
]

QUICK = {"train": 1, "train over an interrupted run": 1, "export npz": 2, "predict --report": 2,
         "download --force": 2}  # fmt: skip
"""Faults of each scenario that are always tried."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    for module in ("matplotlib", "tensorboard", "onnx"):
        pytest.importorskip(module)
    with storm(tmp_path_factory.mktemp("storm")) as started:
        yield started


def test_some_failing_calls(runs: Storm) -> None:
    choose = random.Random(0)  # noqa: S311
    for name, count in QUICK.items():
        good, calls, output = runs.count(SCENARIOS[name])
        for number, fault in choose.sample([*plan(calls)], count):
            runs.run(name, number, fault, good, output)
    assert runs.failures == []
    assert runs.seen["exit code -9"]
    assert runs.seen["exit code 2"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_more_failing_calls(runs: Storm, name: str) -> None:
    runs.failures.clear()
    good, calls, output = runs.count(SCENARIOS[name])
    faults = [*plan(calls)]  # none where nothing is written
    for number, fault in random.Random(1).sample(faults, min(3, len(faults))):  # noqa: S311
        runs.run(name, number, fault, good, output)
    assert runs.failures == []
