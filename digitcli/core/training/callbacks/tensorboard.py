"""Metrics as events for TensorBoard, where it is installed (extra ``tensorboard``)."""

import contextlib
import os
import socket
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digitcli.core.imports import import_errors, install_extra


class EventWriter:
    """Writes scalars to a new file of events, each step at once.

    TensorBoard's and torch's own writers write in a thread, where an error of the disk ends in a
    traceback.

    Args:
        folder: TensorBoard takes all files of events there as one run.
        purge_step: Step from which on the events of the other files are discarded.

    Raises:
        DigitcliError: TensorBoard cannot be imported.
        OSError: The file cannot be written.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        with import_errors(
            "--log-dir also writes for TensorBoard",
            f"{install_extra('tensorboard')}, or uninstall it",
        ):
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        self._events, self._summaries = event_pb2, summary_pb2
        # TensorBoard reads the files in the order of their names
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / f"{name}.{time.monotonic_ns()}").open("xb")
        self._records = RecordWriter(self._file)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        try:
            self._write(file_version="brain.Event:2")
            self._write(step=purge_step, session_log=start)
            self._file.flush()
        except OSError:
            self.close()
            raise

    @staticmethod
    def open(folder: Path, purge_step: int) -> "EventWriter | None":
        """Opens a file of events; returns None if TensorBoard is not installed."""
        return None if find_spec("tensorboard") is None else EventWriter(folder, purge_step)

    def _write(self, **values: Any) -> None:
        event = self._events.Event(wall_time=time.time(), **values)
        self._records.write(event.SerializeToString())

    def add(self, scalars: dict[str, float | None], step: int) -> None:
        """Writes the scalars of a step by tag, except for None.

        Raises:
            OSError: The file cannot be written.
        """
        for tag, value in scalars.items():
            if value is not None:
                scalar = self._summaries.Summary.Value(tag=tag, simple_value=value)
                self._write(step=step, summary=self._summaries.Summary(value=[scalar]))
        self._file.flush()

    def close(self) -> None:
        """Closes the file; what could not be written was reported before."""
        with contextlib.suppress(OSError):
            self._file.close()
