"""Shows a training run: a live bar over a growing table on a terminal, plain lines elsewhere."""

import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitcli.console.streams import (
    error_console,
    is_animated,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_note,
)
from digitcli.core.checkpointing.training_state import TrainingState
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.loader import TrainingData
from digitcli.text import visible

if TYPE_CHECKING:
    from rich.console import Console


class TrainingDisplay(Callback):
    """Follows a run from its first batch to its result."""

    def live(self) -> AbstractContextManager[object]:
        """Returns the context that the run happens in."""
        return nullcontext()

    def on_plain(self, reason: str) -> None:
        """Says that it will take longer, and why."""
        print_note(
            f"steps cannot be captured on this device, the plain loop runs: {visible(reason)}"
        )

    def on_crowded(self, threads: int) -> None:
        """Says that it takes longer than it need, in so many threads, and what helps."""
        print_note(
            "other programs want the cores, and threads wait for each other: beside them it is "
            f"faster with OMP_NUM_THREADS={threads // 2} in front of the command"
        )

    def on_done(self, result: EpochResult, path: Path) -> None:
        """The run is over and its weights are at ``path``."""


def training_display(
    data: TrainingData, recipe: Recipe, *, as_json: bool, resumed: TrainingState | None = None
) -> TrainingDisplay:
    """Chooses the display that suits the streams.

    Args:
        data: What is learned from and scored on.
        recipe: What is run.
        as_json: JSON Lines in place of lines for people.
        resumed: Where an interrupted run goes on.
    """
    train_count = len(data.train_labels)
    if as_json:
        results: TrainingDisplay = _JsonLines()
    elif is_terminal(sys.stdout):
        bar = _Bar(recipe, train_count, resumed, on_output=True)
        return _WithBar(_Table(bar.progress.console, data.scored_on), bar)
    else:
        results = _PlainLines()
    if is_animated(sys.stderr) and not is_terminal(sys.stdout):
        return _WithBar(results, _Bar(recipe, train_count, resumed, on_output=False))
    return results


class _JsonLines(TrainingDisplay):
    def on_loss(self, reading: LossReading) -> None:
        print_json({"event": "loss", **asdict(reading.point)})

    def on_epoch(self, result: EpochResult) -> None:
        metadata = result.checkpoint.metadata
        print_json(
            {
                "event": "epoch",
                **asdict(metadata.accuracies[-1]),
                "scored_on": metadata.scored_on,
                "temperature": metadata.temperature,
            }
        )

    def on_done(self, result: EpochResult, path: Path) -> None:
        print_json({"event": "done", **_summary(result, path)})


def _summary(result: EpochResult, path: Path) -> dict[str, Any]:
    metadata = result.checkpoint.metadata
    return {
        "checkpoint": str(path),
        "dataset": metadata.dataset,
        "recipe": asdict(metadata.recipe),
        "epochs": metadata.epochs,
        "seed": metadata.seed,
        "device": metadata.device,
        "loss": metadata.accuracies[-1].loss,
        "accuracy": metadata.accuracies[-1].accuracy,
        "scored_on": metadata.scored_on,
        "temperature": metadata.temperature,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
    }


class _PlainLines(TrainingDisplay):
    def on_loss(self, reading: LossReading) -> None:
        point = reading.point
        print_line(f"epoch {point.epoch}  batch {point.batch}  loss {point.loss:.3f}")

    def on_epoch(self, result: EpochResult) -> None:
        metadata = result.checkpoint.metadata
        point = metadata.accuracies[-1]
        line = (
            f"epoch {point.epoch}  mean loss {point.loss:.3f}  "
            f"{metadata.scored_on} accuracy {point.accuracy:.2%}"
        )
        if metadata.scored_on == "validation":
            fitted = metadata.temperature != 1
            line += f"  temperature {metadata.temperature:.3f}" if fitted else _NOT_FITTED
        print_line(line)

    def on_done(self, result: EpochResult, path: Path) -> None:
        print_line(_saved(result, path))


_NOT_FITTED = "  temperature 1 (not fitted)"


def _saved(result: EpochResult, path: Path) -> str:
    return (
        f"saved {visible(str(path))}  ({result.seconds:.1f} s of training, "
        f"{result.images_per_second:,.0f} images/s)"
    )


class _Bar:
    """One bar for the whole run: epoch, batch, loss, images/s, time left."""

    def __init__(
        self, recipe: Recipe, train_count: int, resumed: TrainingState | None, *, on_output: bool
    ) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.batches = math.ceil(train_count / recipe.batch_size)
        self.images_per_batch = train_count / self.batches
        self.epochs = recipe.epochs
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("batch"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=output_console() if on_output else error_console(),
            transient=True,
            disable=not is_animated(sys.stdout if on_output else sys.stderr),
            redirect_stdout=False,  # results are not the bar's to print
            redirect_stderr=False,
        )
        epoch, batch = (1, 0) if resumed is None else (resumed.epoch, resumed.batch)
        self.task = self.progress.add_task(
            "",
            total=self.batches * self.epochs,
            completed=(epoch - 1) * self.batches + batch,
            epoch=epoch,
            epochs=self.epochs,
            loss="",
            speed="",
        )

    def move(self, epoch: int, batch: int) -> None:
        done = (epoch - 1) * self.batches + batch
        speed = self.progress.tasks[0].speed
        text = f"{speed * self.images_per_batch:,.0f} images/s" if speed else ""
        self.progress.update(self.task, completed=done, epoch=epoch, speed=text)

    def show_loss(self, loss: float) -> None:
        self.progress.update(self.task, loss=f"loss {loss:.3f}")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Clears the bar's line for a note, which then stands above it."""
        self.progress.stop()
        yield
        self.progress.start()


class _WithBar(TrainingDisplay):
    """Shows results, and how far the run is."""

    def __init__(self, results: TrainingDisplay, bar: _Bar) -> None:
        self.results = results
        self.bar = bar

    def live(self) -> AbstractContextManager[object]:
        return self.bar.progress

    def on_plain(self, reason: str) -> None:
        with self.bar.away():
            super().on_plain(reason)

    def on_crowded(self, threads: int) -> None:
        with self.bar.away():
            super().on_crowded(threads)

    def on_batches(self, epoch: int, batch: int) -> None:
        self.bar.move(epoch, batch)

    def on_loss(self, reading: LossReading) -> None:
        self.bar.show_loss(reading.point.loss)
        self.results.on_loss(reading)

    def on_epoch(self, result: EpochResult) -> None:
        # large batches are fewer in an epoch than between two losses
        self.bar.show_loss(result.checkpoint.metadata.accuracies[-1].loss)
        self.results.on_epoch(result)

    def on_done(self, result: EpochResult, path: Path) -> None:
        self.results.on_done(result, path)


class _Table(TrainingDisplay):
    """On a terminal: a table that grows row by row, above the bar."""

    def __init__(self, console: "Console", scored_on: str) -> None:
        self.console = console
        accuracy = f"{scored_on} accuracy"
        self.columns = {"epoch": 7, "batch": 7, "loss": 8, accuracy: len(accuracy) + 2}
        if scored_on == "validation":
            self.columns["temperature"] = 13
        self.started = False

    def on_loss(self, reading: LossReading) -> None:
        point = reading.point
        self._row("", str(point.epoch), str(point.batch), f"{point.loss:.3f}")

    def on_epoch(self, result: EpochResult) -> None:
        metadata = result.checkpoint.metadata
        point = metadata.accuracies[-1]
        cells = [str(point.epoch), "all", f"{point.loss:.3f}", f"{point.accuracy:.2%}"]
        if metadata.scored_on == "validation":
            fitted = metadata.temperature != 1
            cells.append(f"{metadata.temperature:.3f}" if fitted else "not fitted")
        self._row("bold", *cells, end=True)

    def on_done(self, result: EpochResult, path: Path) -> None:
        self.console.print(_saved(result, path), style="green", soft_wrap=True)

    def _row(self, style: str, *cells: str, end: bool = False) -> None:
        if not self.started:
            self.started = True
            self._row("bold cyan", *self.columns, end=True)
        widths = self.columns.values()
        pairs = zip(cells, widths, strict=False)  # before an epoch's end there is no score
        self.console.print(" ".join(f"{cell:>{width}}" for cell, width in pairs), style=style)
        if end:
            self.console.print("─" * (sum(widths) + len(widths) - 1), style="dim")
