"""The curve of a run: loss and accuracy, drawn anew after every epoch."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.atomic import check_writable, write_atomically
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import Callback, EpochResult
from digitcli.core.training.loader import TrainingData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")

_INK, _PALE, _GREY = "#1b5e9e", "#a9bfd6", "#55606b"
"""Of what an epoch came to, of the readings within it, and of what stands around them."""


class Curve(Callback):
    """Keeps a picture of a run up to date.

    matplotlib draws it, at home in training as nothing else is, and an extra: it is for this alone.

    Args:
        path: The picture, PNG or SVG by its ending.

    Attributes:
        path: The same.

    Raises:
        DigitcliError: The ending is another, matplotlib is missing, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._format = path, path.suffix[1:].lower()
        if self._format not in FORMATS:
            raise DigitcliError(
                f"--plot draws no file named {path.name}", "name it curve.png or curve.svg"
            )
        try:
            import matplotlib.figure  # noqa: F401  it takes a second, better now than later
        except ImportError as error:
            raise DigitcliError(
                f"curves are drawn with matplotlib, and {error.name} cannot be imported",
                "run pip install 'digitcli[plot]'",
            ) from error
        # It would tell of fonts and caches on standard error.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        try:
            check_writable(path)
        except OSError as error:
            raise self._unwritable(error) from error

    def begin(self, data: TrainingData, recipe: Recipe) -> None:
        """Takes down how long an epoch is."""
        self._batches = math.ceil(len(data.train_labels) / recipe.batch_size)

    def on_epoch(self, result: EpochResult) -> None:
        """Draws the run from its first epoch on, those before an interruption among them.

        Raises:
            DigitcliError: The file cannot be written.
        """
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()  # the user's own settings are not for this
            matplotlib.rcParams.update(
                {"svg.fonttype": "none", "svg.hashsalt": "digitcli", "font.size": 10.5}
            )
            figure = _draw(result.checkpoint.metadata, self._batches)
            # equal runs make equal files
            undated = {"Date": None} if self._format == "svg" else {}
            try:
                write_atomically(
                    self.path,
                    lambda file: figure.savefig(file, format=self._format, metadata=undated),
                )
            except OSError as error:
                raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DigitcliError:
        return DigitcliError(
            f"cannot write {self.path}: {error_reason(error)}", "choose another place by --plot"
        )


def _draw(metadata: Metadata, batches: int) -> "Figure":
    """Draws losses on a logarithmic scale, for they fall by a factor, and accuracies below."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    figure = Figure(figsize=(8, 5), dpi=200)  # inches; as wide as 800 pixels it is easy to read
    losses, accuracies = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.09, right=0.91, top=0.97, bottom=0.1, hspace=0.12)
    for axes in (losses, accuracies):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_GREY)
        axes.tick_params(colors=_GREY, which="both")
        axes.grid(axis="y", color="#e3e7eb", linewidth=0.8)
        axes.set_axisbelow(True)

    losses.plot(
        [point.epoch - 1 + point.batch / batches for point in metadata.losses],
        [point.loss for point in metadata.losses],
        color=_PALE,
        linewidth=1.2,
        label="running mean",
    )
    epochs = [point.epoch for point in metadata.accuracies]
    middles = [epoch - 0.5 for epoch in epochs]  # where a mean over the epoch belongs
    _mark(losses, middles, [point.loss for point in metadata.accuracies], "{:.3g}")
    losses.set_yscale("log", nonpositive="clip")
    losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    losses.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    losses.yaxis.set_minor_locator(NullLocator())
    losses.set_ylabel("training loss (nats)", color=_GREY)
    if metadata.losses:  # large batches are fewer in an epoch than between two readings
        losses.legend(
            labelcolor=_GREY, loc="upper right", framealpha=1, edgecolor="none", borderaxespad=0
        )

    shares = [100 * point.accuracy for point in metadata.accuracies]
    _mark(accuracies, epochs, shares, "{:.2f} %")
    accuracies.set_ylabel(f"{metadata.scored_on} accuracy (%)", color=_GREY)
    accuracies.set_xlabel("epochs", color=_GREY)
    accuracies.set_xlim(0, epochs[-1])
    accuracies.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    return figure


_FEW = 40
"""Epochs up to which each is a dot of its own."""


def _mark(axes: "Axes", places: Sequence[float], values: list[float], form: str) -> None:
    """Draws what the epochs came to, and writes the last beside it."""
    axes.plot(
        places,
        values,
        color=_INK,
        linewidth=1.6,
        marker="o" if len(places) <= _FEW else "",
        markersize=3.5,
        clip_on=False,
        label="mean of the epoch",
    )
    axes.annotate(
        form.format(values[-1]),
        (1, values[-1]),
        xycoords=("axes fraction", "data"),
        xytext=(7, 0),
        textcoords="offset points",
        verticalalignment="center",
        color=_INK,
        annotation_clip=False,
    )
