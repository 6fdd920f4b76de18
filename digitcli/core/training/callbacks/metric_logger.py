"""The measurements of a run, row by row, in files that other programs follow as it goes.

``metrics.jsonl`` and ``metrics.csv`` hold the same rows; where TensorBoard is installed, its events
hold them too. A run that goes on after a kill leaves the rows that it would have left without one.
"""

import csv
import errno
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from digitcli.core.checkpointing.metadata import EpochPoint, LossPoint
from digitcli.core.checkpointing.training_state import TrainingState
from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.files.atomic import check_writable, write_atomically
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.loader import TrainingData

if TYPE_CHECKING:
    from digitcli.core.training.callbacks.tensorboard import Events

_ELSEWHERE = "choose another folder by --log-dir"


@dataclass(frozen=True)
class Row:
    """What was measured at one step; None for what was not.

    Attributes:
        kind: "loss" for a reading of the running loss, "epoch" for an epoch that is over.
        epoch: Which epoch, from 1.
        batch: BatchLoader of it that are done.
        step: BatchLoader of the run that are done.
        images: Training pictures seen, each time that one was.
        loss: Mean cross-entropy in nats, over the batches since the last reading, or the epoch's.
        lr: Learning rate of the last step.
        accuracy: Of an epoch: in 0..1, on pictures that were not trained on.
        scored_on: What these are: "test" or "validation".
        temperature: The checkpoint's after the epoch.
        seconds: Time spent in steps so far.
        images_per_second: Training pictures per second of that time.
    """

    kind: str
    epoch: int
    batch: int
    step: int
    images: int
    loss: float
    lr: float
    accuracy: float | None = None
    scored_on: str | None = None
    temperature: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None


_HEADER = ",".join(field.name for field in fields(Row)) + "\n"


class MetricLogger(Callback):
    """Writes a row whenever the running loss is read, and after every epoch.

    It must be told of things before what saves the run is: then no saved state is ahead of the
    rows. Those that are ahead of the state that a run goes on from are taken back.

    Args:
        folder: Where the files go.

    Attributes:
        folder: The same.
        lines: The rows as JSON Lines.
        table: The rows as comma-separated values.
    """

    def __init__(self, folder: Path) -> None:
        self.lines, self.table = folder / "metrics.jsonl", folder / "metrics.csv"
        self.folder = folder
        self._files: list[io.FileIO] = []
        self._events: Events | None = None

    def exists(self) -> bool:
        """Says whether a run has been written here."""
        return self.lines.exists() or self.table.exists()

    @contextmanager
    def alone(self) -> Iterator[Self]:
        """Makes sure that the files can be written, and that no other run writes them.

        Raises:
            DigitcliError: They cannot be, or another run does.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in (self.lines, self.table):
                check_writable(path)
        except OSError as error:
            raise self._unwritable(error) from error
        with exclusive_lock(self.folder, "digitcli train --log-dir", wait=0, next_step=_ELSEWHERE):
            try:
                yield self
            finally:
                for file in self._files:
                    file.close()
                if self._events is not None:
                    self._events.close()

    def begin(self, data: TrainingData, recipe: Recipe, resumed: TrainingState | None) -> None:
        """Opens the files: empty for a new run, else with the rows up to where it goes on.

        A row that the state knows of and the files do not is written with what the state knows.

        Raises:
            DigitcliError: They cannot be written, or TensorBoard is there and cannot be imported.
        """
        from digitcli.core.training.callbacks.tensorboard import open_events

        self._pace = _Pace(recipe, len(data.train_labels), data.scored_on)
        known = [] if resumed is None else self._pace.rows(resumed)
        try:
            written = _read(self.lines) if known else {}
            rows = [_measured(row, written) for row in known]
            _put(self.lines, "".join(map(_as_json, rows)))
            _put(self.table, _HEADER + "".join(map(_as_csv, rows)))
            # nothing is kept back, so that every row is seen at once, and whole
            self._files = [path.open("ab", buffering=0) for path in (self.lines, self.table)]
            done = 0 if resumed is None else self._pace.step(resumed.epoch, resumed.batch)
            self._events = open_events(self.folder, done + 1 if known else 0)
            if self._events is not None:
                for row in known:
                    if _place(row) not in written:
                        self._events.add(row)
        except OSError as error:
            raise self._unwritable(error) from error

    def on_loss(self, reading: LossReading) -> None:
        """Writes a row.

        Raises:
            DigitcliError: It cannot be written, and nothing of it is.
        """
        row, seconds = self._pace.loss_row(reading.point), reading.seconds
        self._write(replace(row, seconds=seconds, images_per_second=row.images / seconds))

    def on_epoch(self, result: EpochResult) -> None:
        """Writes a row, and makes sure that all rows outlast a power cut.

        Raises:
            DigitcliError: It cannot be written, and nothing of it is.
        """
        metadata = result.checkpoint.metadata
        self._write(
            replace(
                self._pace.epoch_row(metadata.accuracies[-1]),
                temperature=metadata.temperature,
                seconds=result.seconds,
                images_per_second=result.images_per_second,
            )
        )
        self._sync()

    def on_state(self, _: TrainingState) -> None:
        """Makes sure that no row is lost that comes before the state.

        Raises:
            DigitcliError: The disk failed.
        """
        self._sync()

    def _write(self, row: Row) -> None:
        try:
            for file, text in zip(self._files, (_as_json(row), _as_csv(row)), strict=True):
                _append(file, text.encode())
            if self._events is not None:
                self._events.add(row)
        except OSError as error:
            raise self._unwritable(error) from error

    def _sync(self) -> None:
        try:
            for file in self._files:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DigitcliError:
        return DigitcliError(f"cannot write to {self.folder}: {error_reason(error)}", _ELSEWHERE)


class _Pace:
    """Works out all of a row that the course of a run decides, whatever it measures."""

    def __init__(self, recipe: Recipe, pictures: int, scored_on: str) -> None:
        self._recipe, self._pictures, self._scored_on = recipe, pictures, scored_on
        self._batches = -(-pictures // recipe.batch_size)

    def step(self, epoch: int, batch: int) -> int:
        return (epoch - 1) * self._batches + batch

    def loss_row(self, point: LossPoint) -> Row:
        return self._row("loss", point.epoch, point.batch, point.loss)

    def epoch_row(self, point: EpochPoint) -> Row:
        row = self._row("epoch", point.epoch, self._batches, point.loss)
        return replace(row, accuracy=point.accuracy, scored_on=self._scored_on)

    def _row(self, kind: str, epoch: int, batch: int, loss: float) -> Row:
        step = self.step(epoch, batch)
        return Row(
            kind=kind,
            epoch=epoch,
            batch=batch,
            step=step,
            images=(epoch - 1) * self._pictures
            + min(batch * self._recipe.batch_size, self._pictures),
            loss=loss,
            lr=self._recipe.lr_at((step - 1) / (self._recipe.epochs * self._batches)),
        )

    def rows(self, state: TrainingState) -> list[Row]:
        """Returns the rows that come before a state, in their order."""
        rows = [*map(self.loss_row, state.losses), *map(self.epoch_row, state.accuracies)]
        return sorted(rows, key=lambda row: (row.step, row.kind == "epoch"))


def _place(row: Row) -> tuple[str, int]:
    return row.kind, row.step


def _measured(row: Row, written: dict[tuple[str, int], Row]) -> Row:
    """Returns the row that was written for this one, if it is of the same run."""
    other = written.get(_place(row), row)
    timeless = replace(other, temperature=None, seconds=None, images_per_second=None)
    return other if timeless == row else row


def _read(path: Path) -> dict[tuple[str, int], Row]:
    """Reads what rows there are; lines that are none, and rows of other versions, are not."""
    rows = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = Row(**json.loads(line))
            rows[_place(row)] = row
        except (ValueError, TypeError):
            continue
    return rows


def _as_json(row: Row) -> str:
    return json.dumps(vars(row), allow_nan=False) + "\n"


def _as_csv(row: Row) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(astuple(row))  # None becomes an empty cell
    return text.getvalue()


def _put(path: Path, text: str) -> None:
    """Makes a file's content this; where it begins so, the rest is cut off and the file stays.

    Whoever follows the file by ``tail -f`` goes on doing so.
    """
    content = text.encode()
    if path.exists() and path.read_bytes().startswith(content):
        os.truncate(path, len(content))
    else:
        write_atomically(path, lambda file: file.write(content))


def _append(file: io.FileIO, line: bytes) -> None:
    """Writes a line in one piece, or on a full disk none of it.

    Raises:
        OSError: It is not written.
    """
    size = os.fstat(file.fileno()).st_size
    if file.write(line) != len(line):
        file.truncate(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
