"""The metrics of a run, row by row, in files that other programs can follow.

``metrics.jsonl`` and ``metrics.csv`` hold the same rows; TensorBoard's events, where it is
installed, hold them too. A run that was killed and resumed leaves the rows of an uninterrupted one.

To add a column, add a field of ``Row``. A value that a training state can restore is set in
``_loss_row`` and ``_epoch_row``, a measured one in ``on_loss`` and ``on_epoch``. If TensorBoard
shall show it, give it a tag in ``_scalars``.
"""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Self

from typing_extensions import override

from digitcli.core.checkpointing.metadata import EpochPoint, LossPoint
from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.errors import DigitcliError
from digitcli.core.files.atomic import check_writable, make_folder, write_atomically, write_errors
from digitcli.core.files.locks import exclusive_lock
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.callbacks.tensorboard import EventWriter
from digitcli.core.training.data import TrainingData

_ELSEWHERE = "choose another folder with --log-dir"


@dataclass(frozen=True)
class Row:
    """The metrics of one step; None for what was not measured."""

    kind: str  # "loss" for a reading of the running loss, "epoch" for the end of an epoch
    epoch: int  # from 1
    batch: int  # batches of the epoch that are done
    step: int  # batches of the run that are done
    images: int  # training images seen, counted each time
    loss: float  # mean cross-entropy in nats, since the last reading or of the epoch
    lr: float  # learning rate of the last step
    accuracy: float | None = None  # after the epoch, in 0..1
    scored_on: str | None = None  # images that the accuracy is of: "test" or "validation"
    temperature: float | None = None  # of the checkpoint after the epoch
    seconds: float | None = None  # spent in steps so far
    images_per_second: float | None = None  # training images per second of that time


def _scalars(row: Row) -> dict[str, float | None]:
    """Returns the metrics of a row by TensorBoard's tags."""
    speed = {"train/images_per_second": row.images_per_second}
    if row.kind == "loss":
        return {"train/loss": row.loss, "train/lr": row.lr, **speed}
    return {
        "train/epoch_loss": row.loss,
        f"{row.scored_on}/accuracy": row.accuracy,
        "temperature": row.temperature,
        **speed,
    }


class MetricLogger(Callback):
    """Writes a row whenever the running loss is read, and after every epoch.

    It must come before the callback that saves the run: it records the position of the files in
    each training state (``TrainingState.logs``), and no saved state may be ahead of the rows. Rows
    after the state that a run resumes from are cut off. Rows of another run are cut off after that
    callback has removed the run's state, since callbacks are started in reverse order.

    Attributes:
        folder: Folder of the files.
        lines: The rows as JSON Lines.
        table: The rows as comma-separated values.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines, self.table = folder / "metrics.jsonl", folder / "metrics.csv"
        self._logs: list[_LogFile] = []
        self._events: EventWriter | None = None

    def exists(self) -> bool:
        """Returns True if a run has been logged here."""
        return self.lines.exists() or self.table.exists()

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """Checks that the files can be written, and keeps other runs from writing them.

        Raises:
            DigitcliError: They cannot be written, or another run writes them.
        """
        with write_errors(self.folder, _ELSEWHERE):
            make_folder(self.folder)
            for path in (self.lines, self.table):
                check_writable(path)
        with exclusive_lock(self.folder, "digitcli train --log-dir", wait=0, next_step=_ELSEWHERE):
            try:
                yield self
            finally:
                for log in self._logs:
                    log.close()
                if self._events is not None:
                    self._events.close()

    def sweep(self) -> None:
        """Removes the lock of a killed run, unless another run writes the files."""
        if (self.folder / ".lock").exists():
            with contextlib.suppress(DigitcliError), self.locked():
                pass

    @override
    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        """Opens the files: empty for a new run, else with the rows up to the state.

        If the files do not begin with the rows that the state has recorded, the rows are restored
        from the state, without times.

        Raises:
            DigitcliError: They cannot be written, or TensorBoard cannot be imported.
        """
        self._data, self._recipe = data, settings.recipe
        self._batches = data.batches_per_epoch(settings.recipe.batch_size)
        known = [] if resumed is None else self._rows(resumed)
        positions = {} if resumed is None else resumed.logs
        with write_errors(self.folder, _ELSEWHERE):
            intact = [
                _LogFile.truncate(path, positions.get(path.name, ""))
                for path in (self.lines, self.table)
            ]
            if not all(intact):
                write_atomically(self.lines, lambda file: file.write(b"".join(map(_json, known))))
                table = b"".join([_HEADER, *map(_csv, known)])
                write_atomically(self.table, lambda file: file.write(table))
            self._logs = [_LogFile(path) for path in (self.lines, self.table)]
            done = 0 if resumed is None else self._step(resumed.epoch, resumed.batch)
            self._events = EventWriter.open(self.folder, done + 1 if known else 0)
            if self._events is not None and not all(intact):
                for row in known:
                    self._events.add(_scalars(row), row.step)

    @override
    def on_loss(self, reading: LossReading) -> None:
        row, seconds = self._loss_row(reading.point), reading.seconds
        self._write(replace(row, seconds=seconds, images_per_second=row.images / seconds))

    @override
    def on_epoch(self, result: EpochResult) -> None:
        metadata = result.checkpoint.metadata
        self._write(
            replace(
                self._epoch_row(metadata.accuracies[-1]),
                temperature=metadata.temperature,
                seconds=result.seconds,
                images_per_second=result.images_per_second,
            )
        )
        self._sync(result.state)

    @override
    def on_state(self, state: TrainingState) -> None:
        self._sync(state)

    def _write(self, row: Row) -> None:
        with write_errors(self.folder, _ELSEWHERE):
            for log, line in zip(self._logs, (_json(row), _csv(row)), strict=True):
                log.append(line)
            if self._events is not None:
                self._events.add(_scalars(row), row.step)

    def _sync(self, state: TrainingState | None) -> None:
        """Flushes the files to disk and records their position in a state."""
        with write_errors(self.folder, _ELSEWHERE):
            for log in self._logs:
                log.sync()
        if state is not None:
            state.logs.update({log.name: log.position for log in self._logs})

    def _step(self, epoch: int, batch: int) -> int:
        return (epoch - 1) * self._batches + batch

    def _loss_row(self, point: LossPoint) -> Row:
        return self._row("loss", point.epoch, point.batch, point.loss)

    def _epoch_row(self, point: EpochPoint) -> Row:
        row = self._row("epoch", point.epoch, self._batches, point.loss)
        return replace(row, accuracy=point.accuracy, scored_on=self._data.scored_on)

    def _row(self, kind: str, epoch: int, batch: int, loss: float) -> Row:
        step, images = self._step(epoch, batch), len(self._data.train_labels)
        return Row(
            kind=kind,
            epoch=epoch,
            batch=batch,
            step=step,
            images=(epoch - 1) * images + min(batch * self._recipe.batch_size, images),
            loss=loss,
            lr=self._recipe.lr_at((step - 1) / (self._recipe.epochs * self._batches)),
        )

    def _rows(self, state: TrainingState) -> list[Row]:
        """Returns the rows up to a state, in order, as far as the state has them."""
        rows = [*map(self._loss_row, state.losses), *map(self._epoch_row, state.accuracies)]
        return sorted(rows, key=lambda row: (row.step, row.kind == "epoch"))


class _LogFile:
    """A file that lines are appended to; each line is written at once, and whole."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        content = path.read_bytes()
        self._size, self._digest = len(content), hashlib.sha256(content)
        self._file = path.open("ab", buffering=0)

    @property
    def position(self) -> str:
        """The size in bytes and the SHA-256 of the content, as in ``TrainingState.logs``."""
        return f"{self._size}:{self._digest.hexdigest()}"

    @staticmethod
    def truncate(path: Path, position: str) -> bool:
        """Cuts a file off at a position; returns False if its content up to there differs.

        The file stays the same, so that ``tail -f`` goes on.
        """
        size, _, digest = position.partition(":")
        if not size.isdecimal() or not path.exists():
            return False
        content = path.read_bytes()[: int(size)]
        if len(content) != int(size) or hashlib.sha256(content).hexdigest() != digest:
            return False
        os.truncate(path, len(content))
        return True

    def append(self, line: bytes) -> None:
        _append(self._file, line)
        self._size += len(line)
        self._digest.update(line)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _append(file: io.FileIO, line: bytes) -> None:
    """Appends a line in one piece, or nothing if the disk is full.

    Raises:
        OSError: The line was not written.
    """
    size = os.fstat(file.fileno()).st_size
    if file.write(line) != len(line):
        file.truncate(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_HEADER = (",".join(field.name for field in fields(Row)) + "\n").encode()


def _json(row: Row) -> bytes:
    return (json.dumps(vars(row), allow_nan=False) + "\n").encode()


def _csv(row: Row) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(astuple(row))  # None is an empty cell
    return text.getvalue().encode()
