"""Metrics as events for TensorBoard, where it is installed (extra ``tensorboard``)."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digitcli.core.errors import DigitcliError


class EventWriter:
    """Writes scalars to a file of events, each step at once."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer  # a ``torch.utils.tensorboard.SummaryWriter``

    @staticmethod
    def open(folder: Path, purge_step: int) -> "EventWriter | None":
        """Opens a new file of events in a folder; returns None if TensorBoard is not installed.

        TensorBoard takes all files of events there as one run, and discards the events of the
        others from ``purge_step`` on.

        Raises:
            DigitcliError: TensorBoard is installed and cannot be imported.
            OSError: The file cannot be written.
        """
        if find_spec("tensorboard") is None:
            return None
        try:
            # torch's; TensorBoard calls its own writer unstable
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise DigitcliError(
                f"TensorBoard is installed and cannot be imported ({error})",
                "run pip install 'digitcli[tensorboard]', or uninstall it",
            ) from error
        return EventWriter(SummaryWriter(str(folder), purge_step=purge_step))

    def add(self, scalars: dict[str, float | None], step: int) -> None:
        """Writes the scalars of a step by tag, except for None."""
        for tag, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
