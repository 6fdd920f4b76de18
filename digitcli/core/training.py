"""The training loop: forward, loss, backward, update."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from digitcli.core.batches import Batches, TrainingData
from digitcli.core.calibration import fit_temperature
from digitcli.core.checkpoint import Checkpoint, save_checkpoint
from digitcli.core.errors import DigitcliError
from digitcli.core.metadata import (
    EpochPoint,
    LossPoint,
    Metadata,
    check_readings,
    layer_sizes,
    library_versions,
)
from digitcli.core.model import MLP, normalised, plain_mlp, predict_logits, weights_of
from digitcli.core.optimizers import optimizer_for
from digitcli.core.recipes import Recipe


@dataclass(frozen=True)
class TrainingState:
    """Where a run stands after an epoch.

    Attributes:
        checkpoint: The weights and all that is known of the run.
        seconds: Time spent in the epochs' steps so far, without evaluation.
        images_per_second: Training pictures per second of that time.
    """

    checkpoint: Checkpoint
    seconds: float
    images_per_second: float


class Observer:
    """Is told of a run as it goes; this one makes nothing of it."""

    def on_batches(self, epoch: int, batch: int) -> None:
        """Some batches are done: now at ``batch`` of ``epoch``, both counted from 1."""

    def on_loss(self, point: LossPoint) -> None:
        """The running mean loss was read."""

    def on_epoch(self, state: TrainingState) -> None:
        """An epoch is over and the model was scored."""


class CheckpointWriter(Observer):
    """Writes the checkpoint after every epoch.

    Args:
        path: Where it goes; what is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_epoch(self, state: TrainingState) -> None:
        """Writes it; raises CheckpointError if it cannot be written."""
        save_checkpoint(self.path, state.checkpoint)


def train(
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int,
    log_every: int,
    device: torch.device,
    observers: Sequence[Observer] = (),
    command: str = "",
) -> TrainingState:
    """Trains the lesson's network from scratch.

    The seed decides the initial weights, the order of the pictures, their deformations and the
    outliers among them, all drawn on the CPU, so that every kind of device sees the same; on one
    machine, equal seeds give equal weights to the last bit.

    Args:
        data: What to learn from and what to measure on.
        recipe: How many epochs of which steps.
        seed: Any integer from 0 to 2**32 - 1.
        log_every: Batches between readings of the running mean loss, at least 1.
        device: Where the data set and the model live.
        observers: Told of batches, losses and epochs as they are done, each in turn.
        command: The command line that the checkpoint records.

    Raises:
        DigitcliError: The batches do not fit the data, or the loss is no longer a number.
    """
    torch.manual_seed(seed)
    sizes = layer_sizes(len(data.classes))
    model = MLP(sizes, batch_norm=recipe.batch_norm).to(device)
    parameters: list[Tensor] = list(model.parameters())
    optimizer = optimizer_for(recipe, parameters)
    batches = Batches(data, recipe, device)
    steps = recipe.epochs * len(batches)
    check_readings(recipe.epochs * (len(batches) // log_every + 1))
    scored_x = normalised(data.scored_images, data.mean, data.std, device)

    losses: list[LossPoint] = []
    epochs: list[EpochPoint] = []
    seconds = 0.0
    step = 0
    with _threads_for(recipe.batch_size):
        for epoch in range(1, recipe.epochs + 1):
            started = time.perf_counter()
            # Sums stay on the device: reading one would wait for all the work queued there.
            running_loss = torch.zeros((), device=device)
            epoch_loss = torch.zeros((), device=device)
            for batch, (x, y) in enumerate(batches, start=1):
                logits = model(x)
                loss = functional.cross_entropy(logits[: len(y)], y)
                objective = loss + _exposure(logits[len(y) :], recipe)
                gradients = torch.autograd.grad(objective, parameters)
                optimizer.step(list(gradients), recipe.lr_at(step / steps))

                step += 1
                running_loss += loss.detach()
                epoch_loss += loss.detach()
                if batch % log_every == 0:
                    point = LossPoint(epoch, batch, _finite(running_loss / log_every, epoch, batch))
                    losses.append(point)
                    for observer in observers:
                        observer.on_loss(point)
                    running_loss.zero_()
                if batch % _BATCHES_PER_REPORT == 0 or batch == len(batches):
                    for observer in observers:
                        observer.on_batches(epoch, batch)
            mean_loss = _finite(
                epoch_loss / len(batches), epoch, len(batches)
            )  # waits for the device
            seconds += time.perf_counter() - started

            weights = weights_of(model)
            scores = predict_logits(plain_mlp(weights, device), scored_x).cpu().numpy()
            accuracy = float((scores.argmax(axis=1) == data.scored_labels).mean())
            epochs.append(EpochPoint(epoch, mean_loss, accuracy))
            metadata = Metadata(
                layer_sizes=sizes,
                classes=data.classes,
                mean=data.mean,
                std=data.std,
                dataset=data.name,
                recipe=recipe,
                epochs=epoch,
                seed=seed,
                device=device.type,
                losses=tuple(losses),
                accuracies=tuple(epochs),
                scored_on=data.scored_on,
                temperature=_temperature(data, recipe, scores),
                command=command,
                data_checksums=data.checksums,
                versions=library_versions(),
            )
            checkpoint = Checkpoint(weights, metadata)
            state = TrainingState(checkpoint, seconds, epoch * batches.pictures / seconds)
            for observer in observers:
                observer.on_epoch(state)
    return state


_EXPOSURE = 0.5
"""Weight of one outlier against one digit. Hendrycks, Mazeika and Dietterich (2019) weigh the mean
over all outliers by it; here that mean is weighed by their share of the batch as well."""


def _exposure(logits: Tensor, recipe: Recipe) -> Tensor | float:
    """Returns what outliers add to a batch's loss: the more, the more one class is preferred."""
    if not len(logits):
        return 0.0
    return -_EXPOSURE * recipe.outliers * functional.log_softmax(logits, dim=1).mean()


def _temperature(data: TrainingData, recipe: Recipe, scores: npt.NDArray[np.float32]) -> float:
    if data.scored_on == "validation":
        return fit_temperature(scores, data.scored_labels)
    return recipe.temperature  # nothing is fitted on the pictures of a test


_ONE_THREAD_BATCH = 16
"""Batch up to which further threads gain less than a third, and cost twentyfold when other work
wants the cores: each step is over sooner than a waiting thread is given one."""

_BATCHES_PER_REPORT = 10
"""Often enough for a smooth bar, seldom enough to cost nothing."""


@contextmanager
def _threads_for(batch_size: int) -> Iterator[None]:
    threads = torch.get_num_threads()
    if batch_size <= _ONE_THREAD_BATCH:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _finite(loss: Tensor, epoch: int, batch: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise DigitcliError(
            f"the loss became {value} by epoch {epoch}, batch {batch}",
            "lower --lr or --momentum",
            exit_code=1,
        )
    return value
