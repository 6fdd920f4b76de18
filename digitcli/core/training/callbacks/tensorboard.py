"""Measurements as events that TensorBoard shows; an extra, without which there are none."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitcli.core.errors import DigitcliError

if TYPE_CHECKING:
    from digitcli.core.training.callbacks.metric_logger import Row


def open_events(folder: Path, purge_step: int) -> "Events | None":
    """Begins a file of events.

    Args:
        folder: Where it goes. TensorBoard takes what other files there hold as the same run's.
        purge_step: From this step on, TensorBoard forgets what they hold.

    Returns:
        The events; None where TensorBoard is not installed.

    Raises:
        DigitcliError: It is installed and cannot be imported.
        OSError: The file cannot be written.
    """
    if find_spec("tensorboard") is None:
        return None
    try:
        # torch's own; the writer that TensorBoard brings says of itself that it may change
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise DigitcliError(
            f"TensorBoard is installed and cannot be imported ({error})",
            "run pip install 'digitcli[tensorboard]', or uninstall it",
        ) from error
    return Events(SummaryWriter(str(folder), purge_step=purge_step))


class Events:
    """A file of events that grows row by row.

    Args:
        writer: A ``SummaryWriter``.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def add(self, row: "Row") -> None:
        """Writes the numbers of a row, which can be seen at once.

        Raises:
            OSError: They cannot be written.
        """
        if row.kind == "loss":
            scalars: dict[str, float | None] = {"train/loss": row.loss, "train/lr": row.lr}
        else:
            scalars = {
                "train/epoch_loss": row.loss,
                f"{row.scored_on}/accuracy": row.accuracy,
                "temperature": row.temperature,
            }
        scalars["train/images_per_second"] = row.images_per_second
        for tag, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(tag, value, row.step)
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
