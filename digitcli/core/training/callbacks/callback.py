"""Who follows a training run, and what they are told."""

from collections.abc import Sequence
from dataclasses import dataclass

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import LossPoint
from digitcli.core.checkpointing.training_state import TrainingState


@dataclass(frozen=True)
class LossReading:
    """The running mean loss, amid an epoch.

    Attributes:
        point: The loss, and where it was read.
        seconds: Time spent in the epochs' steps so far, without evaluation.
    """

    point: LossPoint
    seconds: float


@dataclass(frozen=True)
class EpochResult:
    """What a run has come to after an epoch.

    Attributes:
        checkpoint: The weights and all that is known of the run.
        state: What the next epoch starts from; None after the last.
        seconds: Time spent in the epochs' steps so far, without evaluation.
        images_per_second: Training pictures per second of that time.
    """

    checkpoint: Checkpoint
    state: TrainingState | None
    seconds: float
    images_per_second: float


class Callback:
    """Is told of a run as it goes; this one makes nothing of it."""

    def on_plain(self, reason: str) -> None:
        """Steps cannot be captured and replayed on this device, and are launched one by one."""

    def on_batches(self, epoch: int, batch: int) -> None:
        """Some batches are done: now at ``batch`` of ``epoch``, both counted from 1."""

    def on_loss(self, reading: LossReading) -> None:
        """The running mean loss was read."""

    def on_epoch(self, result: EpochResult) -> None:
        """An epoch is over and the model was scored."""

    def on_state(self, state: TrainingState) -> None:
        """The run is amid an epoch and should be saved."""


class Observers(Callback):
    """Tells several, each in turn."""

    def __init__(self, each: Sequence[Callback]) -> None:
        self._each = each

    def on_plain(self, reason: str) -> None:
        """See ``Callback``."""
        for observer in self._each:
            observer.on_plain(reason)

    def on_batches(self, epoch: int, batch: int) -> None:
        """See ``Callback``."""
        for observer in self._each:
            observer.on_batches(epoch, batch)

    def on_loss(self, reading: LossReading) -> None:
        """See ``Callback``."""
        for observer in self._each:
            observer.on_loss(reading)

    def on_epoch(self, result: EpochResult) -> None:
        """See ``Callback``."""
        for observer in self._each:
            observer.on_epoch(result)

    def on_state(self, state: TrainingState) -> None:
        """See ``Callback``."""
        for observer in self._each:
            observer.on_state(state)
