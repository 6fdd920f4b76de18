"""``train --plot``: a picture of the run after every epoch."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Run, Start
from drawn_digits import SmallMnist
from PIL import Image

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.checkpointing.locate import LATEST
from digitcli.core.checkpointing.metadata import EpochPoint, LossPoint
from digitcli.core.errors import DigitcliError
from digitcli.core.training.callbacks.callback import EpochResult
from digitcli.report.curve import LearningCurve, _draw

FLAGS = ("--epochs", "3", "--batch-size", "50", "--log-every", "5", "--lr", "0.05")


def texts(path: Path) -> list[str]:
    root = ET.parse(path).getroot()  # noqa: S314  it is our own
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_svg_says_in_words_what_it_draws(run: Run, small_mnist: SmallMnist) -> None:
    pytest.importorskip("matplotlib")
    mirror = ("--mirror", small_mnist.folder)
    result = run("train", *FLAGS, *mirror, "--validation", 60, "--plot", "a/b/curve.svg")
    assert result.exit_code == 0, result.stderr
    last = load_checkpoint(LATEST).metadata.accuracies[-1]
    said = texts(Path("a/b/curve.svg"))
    for text in ("training loss (nats)", "validation accuracy (%)", "epochs", "mean of the epoch"):
        assert text in said
    assert f"{last.loss:.3g}" in said
    assert f"{100 * last.accuracy:.2f} %" in said
    assert [path.name for path in Path("a/b").iterdir()] == ["curve.svg"]


def test_png_is_drawn_after_every_epoch_and_from_the_first_after_a_resume(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    drawn = []
    real = LearningCurve.on_epoch

    def watched(self: LearningCurve, result: EpochResult) -> None:
        real(self, result)
        drawn.append(self.path.read_bytes())
        if len(drawn) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(LearningCurve, "on_epoch", watched)
    flags = ("--mirror", small_mnist.folder, "--plot", "curve.PNG")
    assert run("train", *FLAGS, *flags).exit_code == 130
    assert run("train", "--resume", *flags).exit_code == 0
    assert len(set(drawn)) == 3
    with Image.open("curve.PNG") as image:
        assert image.size == (1600, 1000)
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
    # and it is the picture of the whole run
    run("train", *FLAGS, "--output", "again", "--plot", "again.png")
    assert drawn[-1] == Path("again.png").read_bytes()


def test_equal_runs_make_equal_pictures_whatever_the_user_has_set(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    flags = ("--mirror", small_mnist.folder, "--output")
    run("train", *FLAGS, *flags, "a", "--plot", "a.svg")
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9.0)
    run("train", *FLAGS, *flags, "b", "--plot", "b.svg")
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    assert matplotlib.rcParams["lines.linewidth"] == 9.0


def test_epochs_without_readings(run: Run, small_mnist: SmallMnist) -> None:
    pytest.importorskip("matplotlib")
    run("train", "--epochs", 1, "--mirror", small_mnist.folder, "--plot", "curve.svg")
    assert "running mean" not in texts(Path("curve.svg"))


@pytest.mark.parametrize(
    "points",
    [
        [(2.3, 0.1)],
        [(0.00123, 1.0)],
        [(0.3, 0.5), (1e-9, 1.0)],
        [(123456.7, 0.0), (99999.9, 0.0)],
        [(0.0, 0.95)] * 3,
        [(2 / epoch, 0.999 - 0.5 / epoch) for epoch in range(1, 101)],
    ],
)
def test_nothing_is_cut_off_and_no_axis_exceeds_100_percent(
    trained: Checkpoint, points: list[tuple[float, float]]
) -> None:
    pytest.importorskip("matplotlib")
    accuracies = tuple(EpochPoint(number, *each) for number, each in enumerate(points, start=1))
    losses = tuple(LossPoint(point.epoch, 5, point.loss / 3) for point in accuracies)
    metadata = replace(
        trained.metadata, losses=losses, accuracies=accuracies, scored_on="validation"
    )
    figure = _draw(metadata, batches=10)
    figure.draw_without_rendering()
    whole = figure.bbox
    below = figure.axes[1]
    for axes in figure.axes:
        low, high = axes.get_ylim()
        labels = axes.get_yticklabels()
        shown = [label for label in labels if low <= label.get_position()[1] <= high]
        for text in (*axes.texts, axes.yaxis.label, axes.xaxis.label, *shown):
            box = text.get_window_extent()
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1, text.get_text()
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1, text.get_text()
    low, high = below.get_ylim()
    shares = [100 * accuracy for _, accuracy in points]
    assert 0 <= low <= min(shares) <= max(shares) <= high <= 100
    assert high - low <= max(2, 1.1 * (max(shares) - min(shares)) + 1e-9)


def test_a_missing_library_is_named_before_training(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("train", "--dataset", "optdigits", "--plot", "curve.png")
    assert result.exit_code == 2
    assert result.stderr == (
        "digitcli: error: --plot needs matplotlib, which cannot be imported: import of matplotlib "
        "halted; None in sys.modules; run pip install 'digitcli[plot]'\n"
    )
    assert not Path("curve.png").exists()
    assert not LATEST.exists()


def test_a_home_that_cannot_be_written(start: Start, tmp_path: Path) -> None:
    """Matplotlib keeps a cache there, and reports that it uses another folder."""
    pytest.importorskip("matplotlib")
    home = tmp_path / "home"
    home.touch()
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "MPL"))}
    flags = ("--plot", "curve.svg", "--device", "nosuch")
    done = start("train", *flags, env={**settings, "HOME": str(home)})
    assert done.returncode == 2
    assert done.stderr.startswith("digitcli: error: there is no device 'nosuch'; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("curve.pdf", "--plot cannot write curve.pdf; name it curve.png or curve.svg"),
        ("curve", "--plot cannot write curve; name it curve.png or curve.svg"),
        ("taken.png", "cannot write taken.png: not a regular file"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_training(
    run: Run, name: str, problem: str
) -> None:
    pytest.importorskip("matplotlib")
    Path("taken.png").mkdir()
    result = run("train", "--dataset", "optdigits", "--plot", name)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not LATEST.exists()


def test_no_folder_for_the_cache_of_matplotlib_is_a_one_line_error() -> None:
    pytest.importorskip("matplotlib")
    program = (
        "import tempfile; tempfile.tempdir = '/proc'; from digitcli.__main__ import main; main()"
    )
    nowhere = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), "/proc/none")
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "--plot", "curve.svg"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **nowhere},
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("digitcli: error: --plot needs matplotlib, which cannot be imported: ")
    assert line.endswith("; set MPLCONFIGDIR to a folder that can be written")
    assert "pip" not in line


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_whose_last_plot_fails_is_resumed_and_plotted(
    run: Run, small_mnist: SmallMnist, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    pytest.importorskip("matplotlib")
    flags = ("train", "--epochs", epochs, "--batch-size", "50", "--mirror", small_mnist.folder)
    run(*flags, "--output", "whole", "--plot", "whole.svg")
    draw = LearningCurve.on_epoch

    def fail_at_the_end(curve: LearningCurve, result: EpochResult) -> None:
        if result.state is None:
            raise DigitcliError("the disk is full", "free some space")
        draw(curve, result)

    with monkeypatch.context() as patch:
        patch.setattr(LearningCurve, "on_epoch", fail_at_the_end)
        assert run(*flags, "--plot", "curve.svg").exit_code == 2
    assert run(*flags, "--resume", "--plot", "curve.svg").exit_code == 0
    assert Path("curve.svg").read_bytes() == Path("whole.svg").read_bytes()
    assert load_checkpoint(LATEST).metadata.epochs == epochs
