"""Displays a training run: a bar below a growing table on a terminal, plain lines elsewhere."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from digitcli.console.streams import (
    error_console,
    is_animated,
    is_terminal,
    output_console,
    print_json,
    print_line,
    print_note,
    print_styled,
    print_text,
)
from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.evaluation.calibration import MIN_FIT_IMAGES
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.data import Labels, TrainingData
from digitcli.text import fixed, percent, visible

if TYPE_CHECKING:
    from rich.console import Console


_MIN_WITH_SPEED = 80
"""Columns of a terminal from which on the bar has room for the images/s."""


class TrainingDisplay(Callback):
    """Displays nothing; the base class of displays, which are entered for the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _print_note(self, text: str) -> None:
        print_note(text)

    @override
    def on_capture_failed(self, reason: str) -> None:
        self._print_note(
            f"the steps cannot be captured in a CUDA graph, training is slower: {visible(reason)}"
        )

    def on_done(self, result: EpochResult, path: Path, unanswered: tuple[str, ...]) -> None:
        """Called when the run is over.

        Args:
            result: Result of the last epoch.
            path: File of the checkpoint.
            unanswered: Rare classes that are never the answer.
        """


def training_display(
    data: TrainingData, recipe: Recipe, accuracy: float | None, *, as_json: bool
) -> TrainingDisplay:
    """Returns the display that suits the standard streams; JSON Lines if ``as_json``.

    ``accuracy`` is that of the initial weights in 0..1, if they can answer.
    """
    if as_json:
        results: TrainingDisplay = _JsonLines(accuracy)
    elif is_terminal(sys.stdout):
        bar = _Bar(data, recipe, on_output=True)
        return _WithBar(_Table(bar.progress.console, data), bar)
    else:
        results = _PlainLines(data)
    if is_animated(sys.stderr) and not is_terminal(sys.stdout):
        return _WithBar(results, _Bar(data, recipe, on_output=False))
    return results


class _JsonLines(TrainingDisplay):
    def __init__(self, accuracy: float | None) -> None:
        self._accuracy = accuracy

    @override
    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        epoch, batch = (1, 0) if resumed is None else (resumed.epoch, resumed.batch)
        print_json(
            {
                "event": "begin",
                "epoch": epoch,
                "batch": batch,
                "dataset": data.name,
                "classes": list(data.classes),
                "train": _split(data, data.train_labels),
                "scored": _split(data, data.scored_labels),
                "scored_on": data.scored_on,
                "accuracy": self._accuracy,
            }
        )

    @override
    def on_loss(self, reading: LossReading) -> None:
        print_json({"event": "loss", **asdict(reading.point)})

    @override
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

    @override
    def on_done(self, result: EpochResult, path: Path, unanswered: tuple[str, ...]) -> None:
        print_json({"event": "done", **_summary(result, path), "unanswered": list(unanswered)})


def _split(data: TrainingData, labels: Labels) -> dict[str, Any]:
    """Returns the number of images, and that of each class in the order of the classes."""
    per_class = [int((labels == label).sum()) for label in range(len(data.classes))]
    return {"count": len(labels), "per_class": per_class}


def _summary(result: EpochResult, path: Path) -> dict[str, Any]:
    metadata = result.checkpoint.metadata
    return {
        "checkpoint": str(path),
        "dataset": metadata.dataset,
        "recipe": metadata.recipe and asdict(metadata.recipe),
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


def _fits_temperature(data: TrainingData) -> bool:
    """Returns True if a temperature is fitted after every epoch."""
    return data.scored_on == "validation" and len(data.scored_labels) >= MIN_FIT_IMAGES


class _PlainLines(TrainingDisplay):
    def __init__(self, data: TrainingData) -> None:
        self._fits_temperature = _fits_temperature(data)

    @override
    def on_loss(self, reading: LossReading) -> None:
        point = reading.point
        print_line(f"epoch {point.epoch}  batch {point.batch}  loss {fixed(point.loss)}")

    @override
    def on_epoch(self, result: EpochResult) -> None:
        metadata = result.checkpoint.metadata
        point = metadata.accuracies[-1]
        line = (
            f"epoch {point.epoch}  mean loss {fixed(point.loss)}  "
            f"{metadata.scored_on} accuracy {percent(point.accuracy)}"
        )
        if self._fits_temperature:
            line += f"  temperature {metadata.temperature:.3f}"
        print_line(line)

    @override
    def on_done(self, result: EpochResult, path: Path, unanswered: tuple[str, ...]) -> None:
        print_text(_saved(result, path))


def _saved(result: EpochResult, path: Path) -> str:
    return (
        f"saved {visible(str(path))}  ({result.seconds:.1f} s of training, "
        f"{result.images_per_second:,.0f} images/s)"
    )


class _Bar:
    """One bar for the whole run: epoch, batch of the epoch, loss, images/s, time left."""

    def __init__(self, data: TrainingData, recipe: Recipe, *, on_output: bool) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        console = output_console() if on_output else error_console()
        speed = [TextColumn("{task.fields[speed]}")] if console.width >= _MIN_WITH_SPEED else []
        self._batches = data.batches_per_epoch(recipe.batch_size)
        self._images_per_batch = len(data.train_labels) / self._batches
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("batch {task.fields[batch]}/{task.fields[batches]}"),
            TextColumn("{task.fields[loss]}"),
            *speed,
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            disable=not is_animated(sys.stdout if on_output else sys.stderr),
            redirect_stdout=False,  # results are printed by the display
            redirect_stderr=False,
        )
        self._task = self.progress.add_task(
            "",
            total=self._batches * recipe.epochs,
            epoch=1,
            epochs=recipe.epochs,
            batch=0,
            batches=self._batches,
            loss="",
            speed="",
        )

    def start(self, resumed: TrainingState | None) -> None:
        self._update(*((1, 0) if resumed is None else (resumed.epoch, resumed.batch)))
        self.progress.start()

    def move(self, epoch: int, batch: int) -> None:
        speed = self.progress.tasks[0].speed
        text = f"{speed * self._images_per_batch:,.0f} images/s" if speed else ""
        self._update(epoch, batch, speed=text)

    def show_loss(self, loss: float) -> None:
        self.progress.update(self._task, loss=f"loss {fixed(loss)}")

    def _update(self, epoch: int, batch: int, **fields: Any) -> None:
        done = (epoch - 1) * self._batches + batch
        self.progress.update(self._task, completed=done, epoch=epoch, batch=batch, **fields)


class _WithBar(TrainingDisplay):
    """Shows the results of another display, and the bar."""

    def __init__(self, results: TrainingDisplay, bar: _Bar) -> None:
        self.results = results
        self.bar = bar

    @override
    def __exit__(self, *_: object) -> None:
        self.bar.progress.stop()

    @override
    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        self.bar.start(resumed)
        self.results.on_start(data, settings, resumed)

    @override
    def _print_note(self, text: str) -> None:
        print_note(text, self.bar.progress)

    @override
    def on_batches(self, epoch: int, batch: int) -> None:
        self.bar.move(epoch, batch)

    @override
    def on_loss(self, reading: LossReading) -> None:
        self.bar.show_loss(reading.point.loss)
        self.results.on_loss(reading)

    @override
    def on_epoch(self, result: EpochResult) -> None:
        # with large batches an epoch may be over before the loss is read
        self.bar.show_loss(result.checkpoint.metadata.accuracies[-1].loss)
        self.results.on_epoch(result)

    @override
    def on_done(self, result: EpochResult, path: Path, unanswered: tuple[str, ...]) -> None:
        self.results.on_done(result, path, unanswered)


class _Table(TrainingDisplay):
    """On a terminal: a table that grows row by row, above the bar."""

    def __init__(self, console: "Console", data: TrainingData) -> None:
        self._console = console
        self._fits_temperature = _fits_temperature(data)
        accuracy = f"{data.scored_on} accuracy"
        self._columns = {"epoch": 7, "batch": 7, "loss": 8, accuracy: len(accuracy) + 2}
        if self._fits_temperature:
            self._columns["temperature"] = 13
        self._started = self._has_readings = False

    @override
    def on_loss(self, reading: LossReading) -> None:
        point = reading.point
        self._has_readings = True
        self._row("", str(point.epoch), str(point.batch), fixed(point.loss))

    @override
    def on_epoch(self, result: EpochResult) -> None:
        metadata = result.checkpoint.metadata
        point = metadata.accuracies[-1]
        cells = [str(point.epoch), "all", fixed(point.loss), percent(point.accuracy)]
        if self._fits_temperature:
            cells.append(f"{metadata.temperature:.3f}")
        self._row("bold", *cells, end=self._has_readings)
        self._has_readings = False

    @override
    def on_done(self, result: EpochResult, path: Path, unanswered: tuple[str, ...]) -> None:
        from rich.text import Text

        print_styled(self._console, Text(_saved(result, path), style="green"))

    def _row(self, style: str, *cells: str, end: bool = False) -> None:
        if not self._started:
            self._started = True
            self._row("bold cyan", *self._columns, end=True)
        widths = self._columns.values()
        pairs = zip(cells, widths, strict=False)  # within an epoch there is no score
        self._console.print(" ".join(f"{cell:>{width}}" for cell, width in pairs), style=style)
        if end:
            self._console.print("─" * (sum(widths) + len(widths) - 1), style="dim")
