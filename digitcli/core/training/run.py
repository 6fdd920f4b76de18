"""How far a run is, and turning that into a training state and back."""

import hashlib
import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from digitcli.core.checkpointing.metadata import EpochPoint, LossPoint, library_versions
from digitcli.core.checkpointing.training_state import (
    Settings,
    TrainingState,
    check_tensors,
    refuse_other_data,
    refuse_other_settings,
)
from digitcli.core.distributed.process_group import ProcessGroup
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import CheckpointError, DivergedError
from digitcli.core.model import MLP
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import LossReading
from digitcli.core.training.loader import BatchLoader, TrainingData
from digitcli.core.training.optimizers import Optimizer


class TrainingRun:
    """A run as it goes: everything about it that changes from batch to batch.

    Args:
        model: What is trained, on its device.
        optimizer: What changes it.
        batches: What it is trained on.
        world: The processes that train it; each calls every method just as the others do.

    Attributes:
        epoch: Which epoch it is in, from 1.
        batch: BatchLoader of that epoch that are done.
        order: In which the epoch goes through the pictures, int64 (pictures,).
        losses: The running losses so far.
        accuracies: A point per epoch that is over.
        seconds: Time spent in steps, until the last pause.
    """

    def __init__(
        self, model: MLP, optimizer: Optimizer, batches: BatchLoader, world: ProcessGroup
    ) -> None:
        self._model, self._optimizer, self._batches = model, optimizer, batches
        self._world = world
        self.epoch, self.batch = 1, 0
        self.order = torch.empty(0, dtype=torch.int64)
        self.losses: list[LossPoint] = []
        self.accuracies: list[EpochPoint] = []
        self.seconds = 0.0
        # They stay on the device: reading one would wait for all the work queued there.
        device = next(model.parameters()).device
        self._batch_losses = torch.zeros(len(batches), device=device)
        self._started = 0.0

    @property
    def step(self) -> int:
        """Steps done since the run began."""
        return (self.epoch - 1) * len(self._batches) + self.batch

    def start(self) -> None:
        """An epoch begins, or goes on where it was interrupted."""
        if self.batch == 0:
            self.order = self._batches.new_order()
        self._started = time.perf_counter()

    def on_step(self, loss: Tensor) -> None:
        """A step is done, and this was its loss, or this process's part of it."""
        self._batch_losses[self.batch] = loss
        self.batch += 1

    def read_loss(self, count: int) -> LossReading:
        """Reads the mean loss of the epoch's last batches, for the record.

        Raises:
            DivergedError: See ``mean_loss``.
        """
        point = LossPoint(self.epoch, self.batch, self.mean_loss(count))
        self.losses.append(point)
        return LossReading(point, self.elapsed)

    def mean_loss(self, count: int) -> float:
        """Returns the mean loss of the epoch's last batches, and waits for the device to know it.

        Raises:
            DivergedError: It is no number.
        """
        losses = self._world.total(self._batch_losses[self.batch - count : self.batch])
        mean = losses.mean().item()
        if not math.isfinite(mean):  # for every process alike
            raise self._diverged()
        return mean

    @property
    def elapsed(self) -> float:
        """Seconds spent in steps until now, while an epoch is under way."""
        return self.seconds + time.perf_counter() - self._started

    def pause(self) -> None:
        """What follows is not part of the steps' time; the device has done them."""
        self.seconds = self.elapsed
        self._started = time.perf_counter()

    def finish(self, point: EpochPoint) -> None:
        """The epoch is over and the model was scored."""
        self.accuracies.append(point)
        self.epoch, self.batch = self.epoch + 1, 0

    def save(self, settings: Settings, checksums: Mapping[str, str], command: str) -> TrainingState:
        """Copies everything from the device.

        Raises:
            DivergedError: See ``check``.
        """
        self.check()
        live = self._live()
        live["losses"] = self._world.total(self._batch_losses)
        recipe = settings.recipe
        return TrainingState(
            settings=settings,
            checksums=dict(checksums),
            machine=machine(self._batch_losses.device, recipe, self._world),
            command=command,
            epoch=self.epoch,
            batch=self.batch,
            seconds=self.seconds,
            losses=tuple(self.losses),
            accuracies=tuple(self.accuracies),
            tensors={name: one.numpy(force=True).copy() for name, one in live.items()},
        )

    def check(self) -> None:
        """Makes sure that the run is sound; waits for the device.

        Raises:
            DivergedError: There is nan or infinity in it, and it is not worth keeping.
        """
        floats = [tensor for tensor in self._live().values() if tensor.is_floating_point()]
        bad = not all(bool(tensor.isfinite().all()) for tensor in floats)
        if self._world.any(bad):
            raise self._diverged()

    @torch.no_grad()
    def restore(
        self, state: TrainingState, settings: Settings, checksums: Mapping[str, str]
    ) -> None:
        """Goes to where a run was.

        Raises:
            CheckpointError: The state is not of such a run.
            DigitcliError: The run had other settings or other data.
        """
        refuse_other_settings(state, settings)
        refuse_other_data(state, checksums)
        self.epoch, self.batch, self.seconds = state.epoch, state.batch, state.seconds
        self.losses, self.accuracies = list(state.losses), list(state.accuracies)
        if self.batch:
            self.order = torch.empty(self._batches.pictures, dtype=torch.int64)
        live = self._live()
        expected = {name: tensor.numpy(force=True) for name, tensor in live.items()}
        check_tensors(state.tensors, expected)
        for name, tensor in live.items():
            tensor.copy_(torch.from_numpy(state.tensors[name].copy()))
        if not self._world.is_first:
            self._batch_losses.zero_()  # the parts add up to the whole, which the first has
        every = torch.arange(self._batches.pictures)
        if self.batch >= len(self._batches) or (
            self.batch and not torch.equal(self.order.sort().values, every)
        ):
            raise _DAMAGED
        try:
            torch.set_rng_state(live["generator"])
        except RuntimeError as error:
            raise _DAMAGED from error

    def _live(self) -> dict[str, Tensor]:
        """Returns what changes, by the names of a training state: the very tensors, but one."""
        live = {f"model.{name}": tensor for name, tensor in self._model.state_dict().items()}
        live |= {f"optimizer.{name}": one for name, one in self._optimizer.memory().items()}
        live |= {"losses": self._batch_losses, "generator": torch.get_rng_state()}
        if self.batch:
            live["order"] = self.order
        return live

    def _diverged(self) -> DivergedError:
        """Finds the batch where it went wrong."""
        good = self._world.total(self._batch_losses[: self.batch]).isfinite()
        batch = 1 + (self.batch if bool(good.all()) else int(good.int().argmin()))
        return DivergedError(
            f"the loss is no longer a number from epoch {self.epoch}, batch {batch} on",
            "lower --lr or --momentum",
            exit_code=1,
        )


_DAMAGED = CheckpointError("the training state is damaged", "start over with --no-resume")


def machine(device: torch.device, recipe: Recipe, world: Rank) -> dict[str, str]:
    """Says what computes a run: on something else the weights come out equal but for rounding."""
    threads = str(threads_of(recipe)) if device.type == "cpu" else "any"
    shared = {"device": device.type, "processes": str(world.size), "threads": threads}
    return shared | library_versions()


def checksums_of(data: TrainingData, recipe: Recipe) -> dict[str, str]:
    """Returns checksums of all pictures that a run trains on and is scored on."""
    checksums = dict(data.checksums)
    if recipe.outliers and data.outliers is not None:
        checksums["outliers"] = f"sha256:{hashlib.sha256(data.outliers.tobytes()).hexdigest()}"
    return checksums


_ONE_THREAD_BATCH = 16
"""Batch up to which further threads gain less than a third, and cost twentyfold when other work
wants the cores: each step is over sooner than a waiting thread is given one."""


def threads_of(recipe: Recipe) -> int:
    """Returns how many threads of the CPU train a recipe."""
    return 1 if recipe.batch_size <= _ONE_THREAD_BATCH else torch.get_num_threads()
