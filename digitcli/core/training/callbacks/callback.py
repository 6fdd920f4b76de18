"""The base class of training callbacks, and what they are called with."""

from dataclasses import dataclass

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import LossPoint
from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.training.data import TrainingData


@dataclass(frozen=True)
class LossReading:
    """A reading of the running mean loss."""

    point: LossPoint
    seconds: float  # spent in training steps so far, without scoring


@dataclass(frozen=True)
class EpochResult:
    """The result of a run after an epoch."""

    checkpoint: Checkpoint
    state: TrainingState | None  # that the next epoch starts from; None after the last epoch
    seconds: float  # spent in training steps so far, without scoring
    images_per_second: float  # training images per second of that time


class Callback:
    """Base class for training callbacks; hooks do nothing by default."""

    def on_start(
        self, data: TrainingData, settings: Settings, resumed: TrainingState | None
    ) -> None:
        """Called before the first step, when the run is known to be possible.

        Callbacks are started in reverse order, so that none discards what a run has left before
        those that rely on it: killed in between, a run can be resumed with all its files, or not
        at all.

        Args:
            data: Images of the run.
            settings: Settings of the run.
            resumed: State that it resumes from; None for a new run.
        """

    def on_capture_failed(self, reason: str) -> None:
        """Called if the steps cannot be captured in a CUDA graph and run one kernel at a time."""

    def on_batches(self, epoch: int, batch: int) -> None:
        """Called every few batches.

        Args:
            epoch: Current epoch, from 1.
            batch: Number of batches of it that are done.
        """

    def on_loss(self, reading: LossReading) -> None:
        """Called when the running mean loss was read."""

    def on_epoch(self, result: EpochResult) -> None:
        """Called after an epoch, when the network was scored."""

    def on_state(self, state: TrainingState) -> None:
        """Called within an epoch when the state is to be saved."""
