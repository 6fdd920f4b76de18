"""The learning curve of a run: loss and accuracy, plotted after every epoch."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.errors import DigitcliError
from digitcli.core.files.atomic import check_writable, write_atomically, write_errors
from digitcli.core.imports import import_errors, install_extra
from digitcli.core.training.callbacks.callback import Callback, EpochResult
from digitcli.core.training.data import TrainingData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")

_EPOCH_COLOR, _READING_COLOR, _AXES_COLOR = "#1b5e9e", "#a9bfd6", "#55606b"

_MOST_MARKERS = 40
"""Number of epochs up to which each has a marker."""

_ELSEWHERE = "choose another place with --plot"


class LearningCurve(Callback):
    """Plots a run after every epoch, with matplotlib (extra ``plot``).

    Attributes:
        path: File of the plot, PNG or SVG by its ending.

    Raises:
        DigitcliError: The ending is another, matplotlib is missing, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._format = path, path.suffix[1:].lower()
        if self._format not in FORMATS:
            raise DigitcliError(
                f"--plot cannot write {path.name}", "name it curve.png or curve.svg"
            )
        # it would report fonts and a home that cannot be written, also while it is imported
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        with import_errors("--plot needs matplotlib", _next_step):
            import matplotlib.figure  # noqa: F401  takes a second, better now than after an epoch
        with write_errors(path, _ELSEWHERE):
            check_writable(path)

    @override
    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        self._batches = data.batches_per_epoch(settings.recipe.batch_size)

    @override
    def on_epoch(self, result: EpochResult) -> None:
        import matplotlib

        with matplotlib.rc_context(), write_errors(self.path, _ELSEWHERE):
            matplotlib.rcdefaults()  # the user's settings are for other plots
            matplotlib.rcParams.update(
                {"svg.fonttype": "none", "svg.hashsalt": "digitcli", "font.size": 10.5}
            )
            figure = _draw(result.checkpoint.metadata, self._batches)
            # equal runs make equal files
            undated = {"Date": None} if self._format == "svg" else {}
            write_atomically(
                self.path,
                lambda file: figure.savefig(file, format=self._format, metadata=undated),
            )


def _next_step(error: Exception) -> str:
    """Returns what to do about an error of importing matplotlib."""
    if "MPLCONFIGDIR" in str(error):  # no folder for its cache can be written
        return "set MPLCONFIGDIR to a folder that can be written"
    return install_extra("plot")


def _draw(metadata: Metadata, batches: int) -> "Figure":
    """Plots losses on a logarithmic scale, and accuracies below."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    # inches; readable at 800 pixels
    figure = Figure(figsize=(8, 5), dpi=200, layout="constrained")
    losses, accuracies = figure.subplots(2, 1, sharex=True)
    for axes in (losses, accuracies):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_AXES_COLOR)
        axes.tick_params(colors=_AXES_COLOR, which="both")
        axes.grid(axis="y", color="#e3e7eb", linewidth=0.8)
        axes.set_axisbelow(True)

    losses.plot(
        [point.epoch - 1 + point.batch / batches for point in metadata.losses],
        [point.loss for point in metadata.losses],
        color=_READING_COLOR,
        linewidth=1.2,
        label="running mean",
    )
    epochs = [point.epoch for point in metadata.accuracies]
    middles = [epoch - 0.5 for epoch in epochs]  # a mean over an epoch belongs in its middle
    _mark(losses, middles, [point.loss for point in metadata.accuracies], "{:.3g}")
    if any(point.loss > 0 for points in (metadata.losses, metadata.accuracies) for point in points):
        losses.set_yscale("log", nonpositive="clip")
        losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        losses.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        losses.yaxis.set_minor_locator(NullLocator())
    losses.set_ylabel("training loss (nats)", color=_AXES_COLOR)
    if metadata.losses:  # with large batches an epoch may be over before the loss is read
        losses.legend(
            labelcolor=_AXES_COLOR,
            loc="upper right",
            framealpha=1,
            edgecolor="none",
            borderaxespad=0,
        )

    shares = [100 * point.accuracy for point in metadata.accuracies]
    _mark(accuracies, epochs, shares, "{:.2f} %")
    accuracies.set_ylabel(f"{metadata.scored_on} accuracy (%)", color=_AXES_COLOR)
    accuracies.set_xlabel("epochs", color=_AXES_COLOR)
    accuracies.set_xlim(0, epochs[-1])
    accuracies.set_ylim(_percent_range(shares))
    accuracies.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    return figure


def _percent_range(shares: list[float]) -> tuple[float, float]:
    """Returns the ends of an axis for percentages, with a margin where that is within 0 to 100."""
    low, high = min(shares), max(shares)
    margin = 0.05 * (high - low) or 1
    return max(0, low - margin), min(100, high + margin)


def _mark(axes: "Axes", places: Sequence[float], values: list[float], form: str) -> None:
    """Plots a value per epoch, with the last one written beside it."""
    axes.plot(
        places,
        values,
        color=_EPOCH_COLOR,
        linewidth=1.6,
        marker="o" if len(places) <= _MOST_MARKERS else "",
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
        color=_EPOCH_COLOR,
        annotation_clip=False,
    )
