"""The display of a training run."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from paths import HELPERS

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
    display.on_capture_failed("it had none")
    display.on_batches(1, 2)
    display.bar.progress.refresh()
    display.on_capture_failed("it has none")
    display.on_batches(2, 1)
"""


def on_terminal(program: str, columns: int, folder: Path | None) -> tuple[Any, list[str]]:
    """Runs a program on a terminal.

    Args:
        program: Python.
        columns: Width of the terminal.
        folder: Where standard output goes to a file; None for the terminal.

    Returns:
        The screen, and the lines of the file.
    """
    terminal = pytest.importorskip("terminal", reason="pseudo-terminals are POSIX")
    path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color"}
    command = [sys.executable, "-c", program]
    if folder is None:
        return terminal.run_on_terminal(command, columns=columns, environment=environment), []
    with (folder / "results").open("w") as results:
        screen = terminal.run_on_terminal(
            command, columns=columns, output=results, environment=environment
        )
    return screen, (folder / "results").read_text().splitlines()


@pytest.mark.parametrize("is_piped", [False, True])
def test_notes_stand_above_the_bar(tmp_path: Path, is_piped: bool) -> None:
    screen, _ = on_terminal(SHOWN, 200, tmp_path if is_piped else None)
    assert screen.code == 0
    first, second = screen.lines  # and nothing that is left of the bar
    assert first.startswith("digitcli: the steps cannot be captured")
    assert first.endswith("it had none")
    assert second.endswith("it has none")
    assert "epoch 1/10" in screen.raw


ROWS = """
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from drawn_digits import drawn_data
from digitcli.console.training import training_display
from digitcli.core.checkpointing.metadata import LossPoint
from digitcli.core.recipes import LESSON

data = drawn_data()
display = training_display(data, LESSON, None, as_json=False)

def epoch(number, loss):
    point = SimpleNamespace(epoch=number, loss=loss, accuracy=1.0)
    metadata = SimpleNamespace(accuracies=[point], temperature=1.0, scored_on="test")
    display.on_epoch(SimpleNamespace(checkpoint=SimpleNamespace(metadata=metadata)))

with display:
    epoch(1, 0.5)
    epoch(2, 0.00042)
    display.on_loss(SimpleNamespace(point=LossPoint(3, 300, 0.0001)))
    epoch(3, 0.0)
    epoch(4, 0.5)
"""


@pytest.mark.parametrize("is_piped", [False, True])
def test_losses_above_0_are_not_shown_as_0(tmp_path: Path, is_piped: bool) -> None:
    """On a terminal a rule ends an epoch of several rows."""
    screen, lines = on_terminal(ROWS, 80, tmp_path if is_piped else None)
    if is_piped:
        assert [re.findall(r"loss (\S+)", line) for line in lines] == [
            *(["0.500"], ["4.2e-04"], ["1.0e-04"], ["0.000"], ["0.500"])
        ]
        return
    rule = "─" * 40
    assert [line.strip() for line in screen.lines[1:]] == [
        rule,
        "1     all    0.500         100.00%",
        "2     all  4.2e-04         100.00%",
        "3     300  1.0e-04",
        "3     all    0.000         100.00%",
        rule,
        "4     all    0.500         100.00%",
    ]


BAR = """
from drawn_digits import drawn_data
from digitcli.console.training import training_display
from digitcli.core.recipes import LESSON

data = drawn_data()
object.__setattr__(data, "batches_per_epoch", lambda _: 938)
display = training_display(data, LESSON, None, as_json=False)
with display:
    display.on_start(data, None, None)
    display.bar.show_loss(0.035)
    for batch in range(100, 901, 100):
        display.on_batches(10, batch)
    display.bar.progress.refresh()
"""


@pytest.mark.parametrize("columns", [60, 80])
def test_the_bar_counts_the_batches_of_the_epoch_in_full(columns: int) -> None:
    terminal = pytest.importorskip("terminal", reason="pseudo-terminals are POSIX")
    path = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color"}
    screen = terminal.run_on_terminal(
        [sys.executable, "-c", BAR], columns=columns, environment=environment
    )
    assert screen.code == 0
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.raw).replace("\r", "\n").splitlines()
    last = [line for line in shown if "epoch 10/10" in line][-1]
    assert "batch 900/938 loss 0.035" in last
    assert re.search(r"-:--:--|\d:\d\d:\d\d", last)
    assert "…" not in last
