"""The progress of a run, its training state, and when that is saved."""

import math
import signal
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import (
    EpochPoint,
    LossPoint,
    Metadata,
    check_loss_points,
    layer_sizes,
    library_versions,
)
from digitcli.core.checkpointing.training_state import (
    Settings,
    TrainingState,
    check_tensors,
    refuse_other_data,
    refuse_other_settings,
)
from digitcli.core.distributed.process_group import ProcessGroup
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import CheckpointError, DivergedError, StoppedError
from digitcli.core.model import MLP
from digitcli.core.recipes import Recipe
from digitcli.core.threads import sums_are_reproducible
from digitcli.core.training.callbacks.callback import Callback, EpochResult, LossReading
from digitcli.core.training.cpu_threads import thread_count
from digitcli.core.training.data import TrainingData
from digitcli.core.training.loader import BatchLoader, check_batches
from digitcli.core.training.optimizers import Optimizer
from digitcli.core.training.scoring import Scorer
from digitcli.core.training.signals import StopSignals

_POLL_EVERY = 10
"""Batches between two checks for a signal in several processes, each as long as a batch."""


class TrainingRun:
    """Everything about a run that changes from batch to batch.

    Of several processes that train together, each calls every method as the others do.

    Attributes:
        epoch: Current epoch, from 1.
        batch: Number of batches of it that are done.
        order: Order of the images in the epoch, int64 (images,).
        losses: Running losses so far.
        accuracies: One point per finished epoch.
        seconds: Seconds spent in steps, up to the last pause.
    """

    def __init__(
        self,
        model: MLP,
        optimizer: Optimizer,
        loader: BatchLoader,
        settings: Settings,
        *,
        checksums: dict[str, str],
        command: str,
        group: ProcessGroup,
        threads: int | None,
    ) -> None:
        self.group = group
        self.batches = loader.batches
        self._model, self._optimizer, self._loader = model, optimizer, loader
        self._settings, self._checksums, self._command = settings, checksums, command
        self._threads = threads
        self.epoch, self.batch = 1, 0
        self.order = torch.empty(0, dtype=torch.int64)
        self.losses: list[LossPoint] = []
        self.accuracies: list[EpochPoint] = []
        self.seconds = 0.0
        self._started = 0.0
        self._device = next(model.parameters()).device
        # on the device: reading a loss waits for all the work queued there
        self._batch_losses = torch.zeros(loader.batches, device=self._device)

    @property
    def fraction_done(self) -> float:
        """Fraction of all steps of the run that are done, in 0..1."""
        done = (self.epoch - 1) * self.batches + self.batch
        return done / (self._settings.recipe.epochs * self.batches)

    def start_epoch(self) -> None:
        """Starts an epoch, or continues one that was interrupted."""
        if self.batch == 0:
            self.order = self._loader.draw_order()
        self._started = time.perf_counter()

    def record(self, loss: Tensor) -> None:
        """Records a step with this process's share of the batch's mean loss, float32 ()."""
        self._batch_losses[self.batch] = loss
        self.batch += 1

    def read_loss(self) -> LossReading:
        """Records and returns the mean loss of the epoch's batches since the last reading.

        Raises:
            DivergedError: It is not finite.
        """
        last = self.losses[-1] if self.losses else None
        read = last.batch if last is not None and last.epoch == self.epoch else 0
        point = LossPoint(self.epoch, self.batch, self._mean_loss(self.batch - read))
        self.losses.append(point)
        return LossReading(point, self._elapsed)

    def _mean_loss(self, count: int) -> float:
        losses = self.group.sum(self._batch_losses[self.batch - count : self.batch])
        mean = losses.mean().item()  # waits for the device
        if not math.isfinite(mean):  # in every process alike
            raise self._diverged()
        return mean

    @property
    def _elapsed(self) -> float:
        return self.seconds + time.perf_counter() - self._started

    def pause(self) -> None:
        """Excludes what follows from the seconds of the steps; the device has finished these."""
        self.seconds = self._elapsed
        self._started = time.perf_counter()

    def finish_epoch(self, scorer: Scorer) -> EpochResult:
        """Scores the network after the last batch of an epoch.

        Raises:
            DivergedError: The loss or a weight is not finite.
        """
        mean_loss = self._mean_loss(self.batches)
        self.pause()
        scorer.measure_batch_norm()
        self._check_finite()
        score, data, recipe = scorer.score(), scorer.data, self._settings.recipe
        self.accuracies.append(EpochPoint(self.epoch, mean_loss, score.accuracy))
        start = self._settings.start
        metadata = Metadata(
            layer_sizes=layer_sizes(len(data.classes)),
            classes=data.classes,
            mean=data.mean,
            std=data.std,
            dataset=data.name,
            recipe=recipe,
            epochs=self.epoch,
            seed=self._settings.seed,
            device=self._device.type,
            losses=tuple(self.losses),
            accuracies=tuple(self.accuracies),
            scored_on=data.scored_on,
            temperature=score.temperature,
            command=self._command,
            data_checksums={**data.checksums, **({"from": start} if start else {})},
            versions=library_versions(),
        )
        speed = self.epoch * self._loader.images / self.seconds
        self.epoch, self.batch = self.epoch + 1, 0
        state = self.state() if self.epoch <= recipe.epochs else None
        return EpochResult(Checkpoint(score.weights, metadata), state, self.seconds, speed)

    def state(self) -> TrainingState:
        """Copies everything that the run needs to resume, from the device.

        Raises:
            DivergedError: A loss or a weight is not finite.
        """
        self._check_finite()
        live = self._live_tensors()
        live["losses"] = self.group.sum(self._batch_losses)
        return TrainingState(
            settings=self._settings,
            checksums=self._checksums,
            machine=machine(self._device, self._settings.recipe, self.group, self._threads),
            command=self._command,
            epoch=self.epoch,
            batch=self.batch,
            seconds=self.seconds,
            losses=tuple(self.losses),
            accuracies=tuple(self.accuracies),
            tensors={name: one.numpy(force=True).copy() for name, one in live.items()},
        )

    @torch.no_grad()
    def restore(self, state: TrainingState) -> None:
        """Continues from a saved state.

        Raises:
            CheckpointError: The state is damaged, or its tensors do not fit.
            DigitcliError: It was saved with other settings or other data.
        """
        refuse_other_settings(state, self._settings)
        refuse_other_data(state, self._checksums)
        self.epoch, self.batch, self.seconds = state.epoch, state.batch, state.seconds
        self.losses, self.accuracies = list(state.losses), list(state.accuracies)
        if self.batch:
            self.order = torch.empty(self._loader.images, dtype=torch.int64)
        live = self._live_tensors()
        check_tensors(
            state.tensors, {name: tensor.numpy(force=True) for name, tensor in live.items()}
        )
        for name, tensor in live.items():
            tensor.copy_(torch.from_numpy(state.tensors[name].copy()))
        if not self.group.is_first:
            self._batch_losses.zero_()  # the first process has the sum
        every = torch.arange(self._loader.images)
        if self.batch >= self.batches or (
            self.batch and not torch.equal(self.order.sort().values, every)
        ):
            raise _damaged()
        try:
            torch.set_rng_state(live["generator"])
        except RuntimeError as error:
            raise _damaged() from error

    def _live_tensors(self) -> dict[str, Tensor]:
        """Returns the tensors of a training state by name: not copies, but for the generator."""
        live = {f"model.{name}": tensor for name, tensor in self._model.state_dict().items()}
        live |= {f"optimizer.{name}": one for name, one in self._optimizer.state().items()}
        live |= {"losses": self._batch_losses, "generator": torch.get_rng_state()}
        if self.batch:
            live["order"] = self.order
        return live

    def _check_finite(self) -> None:
        floats = [tensor for tensor in self._live_tensors().values() if tensor.is_floating_point()]
        if self.group.any(not all(bool(tensor.isfinite().all()) for tensor in floats)):
            raise self._diverged()

    def _diverged(self) -> DivergedError:
        finite = self.group.sum(self._batch_losses[: self.batch]).isfinite()
        batch = 1 + (self.batch if bool(finite.all()) else int(finite.int().argmin()))
        return DivergedError(
            f"the loss is not finite from epoch {self.epoch}, batch {batch} on",
            "lower --lr or --momentum",
            exit_code=1,
        )


def _damaged() -> CheckpointError:
    return CheckpointError("the training state is damaged", "start over with --no-resume")


class Saving:
    """Saves the state of a run through its callbacks, and stops the run after a signal.

    Within an epoch the state is saved every ``every`` batches (None: never) and after a signal.
    """

    def __init__(
        self,
        run: TrainingRun,
        callbacks: Sequence[Callback],
        every: int | None,
        signals: StopSignals | None,
    ) -> None:
        self._run, self._callbacks, self._every = run, callbacks, every
        self._signals = signals or StopSignals()  # which receives nothing unless entered

    def after_batch(self) -> None:
        """Saves the state if it is time to, or if a signal arrived.

        Raises:
            StoppedError: A signal arrived.
        """
        if self._run.batch == self._run.batches or not self._is_due():
            return  # after the last batch of an epoch, the epoch is saved
        self._run.pause()
        state = self._run.state()
        for callback in self._callbacks:
            callback.on_state(state)
        self._stop_if_signalled(state)
        self._run.start_epoch()  # restarts the clock

    def after_epoch(self, result: EpochResult) -> None:
        """Stops the run, which the callbacks have saved, as ``after_batch`` does."""
        if result.state is not None:
            self._stop_if_signalled(result.state)

    def _is_due(self) -> bool:
        run = self._run
        if self._every is not None and run.batch % self._every == 0:
            return True
        if run.group.size > 1 and run.batch % _POLL_EVERY:
            return False
        return run.group.any(self._signals.received is not None)

    def _stop_if_signalled(self, state: TrainingState) -> None:
        received = self._signals.received
        if self._run.group.any(received is not None):
            raise StoppedError(
                f"stopped {state.place}",
                "continue with 'digitcli train --resume'",
                exit_code=128 + (received or signal.SIGTERM),
            )


def check_run(data: TrainingData, settings: Settings, rank: Rank) -> None:
    """Checks, before anything is computed, that a run is possible.

    Raises:
        DigitcliError: The batches do not fit the data or the processes, or a checkpoint could not
            hold all readings of the loss.
    """
    recipe = settings.recipe
    check_batches(data, recipe, rank)
    steps = recipe.epochs * data.batches_per_epoch(recipe.batch_size)
    check_loss_points(recipe.epochs, steps // settings.log_every)


def machine(
    device: torch.device, recipe: Recipe, rank: Rank, threads: int | None
) -> dict[str, str]:
    """Describes what computes a run; on another machine the weights differ by rounding.

    Args:
        device: Device of the run.
        recipe: Recipe of the run.
        rank: This process among those of the run.
        threads: Number of CPU threads that the user chose; None for the usual one.
    """
    matters = device.type == "cpu" and not sums_are_reproducible()
    count = str(threads or thread_count(recipe)) if matters else "any"
    computer = {"device": device.type, "processes": str(rank.size), "threads": count}
    return computer | library_versions()
