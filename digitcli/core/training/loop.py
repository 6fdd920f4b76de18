"""The training loop: forward, loss, backward, update."""

import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.metadata import (
    EpochPoint,
    Metadata,
    check_readings,
    layer_sizes,
    library_versions,
)
from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from digitcli.core.distributed.rank import Rank
from digitcli.core.errors import StoppedError
from digitcli.core.evaluation.calibration import choose_temperature
from digitcli.core.model import MLP, measure, normalised, plain_mlp, predict_logits, weights_of
from digitcli.core.recipes import Recipe
from digitcli.core.training.callbacks.callback import Callback, EpochResult, Observers
from digitcli.core.training.cuda_graphs import fastest
from digitcli.core.training.initial_weights import InitialWeights, copy_weights
from digitcli.core.training.loader import Batch, BatchLoader, TrainingData, check_batches
from digitcli.core.training.optimizers import optimizer_for
from digitcli.core.training.run import TrainingRun, checksums_of, threads_of
from digitcli.core.training.signals import StopSignals


def train(
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int,
    log_every: int,
    device: torch.device,
    observers: Sequence[Callback] = (),
    command: str = "",
    start: InitialWeights | None = None,
    resume: TrainingState | None = None,
    save_every: int | None = None,
    stop: StopSignals | None = None,
    world: ProcessGroup = SINGLE_PROCESS,
) -> EpochResult:
    """Trains the lesson's network from scratch or from a start, or goes on with a run.

    The seed decides the initial weights, the order of the pictures, their deformations and the
    outliers among them, all drawn on the CPU, so that every kind of device sees the same; on one
    machine, equal seeds give equal weights to the last bit, interrupted or not.

    Args:
        data: What to learn from and what to measure on.
        recipe: How many epochs of which steps.
        seed: Any integer from 0 to 2**32 - 1.
        log_every: BatchLoader between readings of the running mean loss, at least 1.
        device: Where the data set and the model live.
        observers: Told of batches, losses and epochs as they are done, each in turn.
        command: The command line that the checkpoint records.
        start: Weights to start from; None for random ones, or where ``resume`` has others.
        resume: Where to go on; None for a new run.
        save_every: BatchLoader between savings amid an epoch, at least 1; None for none.
        stop: Whether to save and stop, asked after every batch, or every few where processes must
            agree.
        world: The processes that train together; all call this alike, and each gets the result.

    Raises:
        StoppedError: ``stop`` had it so; the observers were given the state.
        DigitcliError: The batches do not fit the data, the loss is no longer a number, or
            ``resume`` is of another run.
    """
    check_run(data, recipe, log_every, world)
    torch.manual_seed(seed)
    batches = BatchLoader(data, recipe, device, world)
    model = _new_model(data, recipe, start, world).to(device)
    sample = _sample(model, batches, recipe, start)
    network = world.joined(model)  # which gives all of them the first one's weights
    parameters: list[Tensor] = [each for each in model.parameters() if each.requires_grad]
    optimizer = optimizer_for(recipe, parameters)
    steps = recipe.epochs * len(batches)
    scored_x = normalised(data.scored_images, data.mean, data.std, device)

    def step(batch: Batch, lr: float | Tensor) -> Tensor:
        logits = network(batch.x)
        loss = _part(functional.cross_entropy(logits[: len(batch.y)], batch.y), batch.share)
        objective = loss
        if recipe.outliers:
            objective = loss + _exposure(logits[len(batch.y) :], batch, recipe)
        optimizer.step(world.gradients(objective, parameters), lr)
        return loss.detach()

    everyone = Observers(observers)
    take_step = (
        fastest(step, recipe.batch_size, device, everyone.on_plain) if world.size == 1 else step
    )
    origin = resume.settings.start if resume else start.checksum if start else None
    settings = Settings(data.name, data.classes, origin, data.validation, recipe, seed, log_every)
    checksums = checksums_of(data, recipe)
    run = TrainingRun(model, optimizer, batches, world)
    if resume is not None:
        run.restore(resume, settings, checksums)
    with _threads_for(recipe):
        while run.epoch <= recipe.epochs:
            epoch = run.epoch
            run.start()
            for batch in batches.in_order(run.order, done=run.batch):
                loss = take_step(batch, recipe.lr_at(run.step / steps))

                run.on_step(loss)
                if run.batch % log_every == 0:
                    everyone.on_loss(run.read_loss(log_every))
                if run.batch % _BATCHES_PER_REPORT == 0 or run.batch == len(batches):
                    everyone.on_batches(epoch, run.batch)
                amid = run.batch < len(batches)
                if amid and _is_time_to_save(run.batch, save_every, stop, world):
                    run.pause()
                    everyone.on_state(now := run.save(settings, checksums, command))
                    _stop_if_wished(stop, now, world)
            mean_loss = run.mean_loss(len(batches))  # waits for the device
            run.pause()
            checkpoint = _scored(
                model,
                run,
                data,
                scored_x,
                sample,
                mean_loss=mean_loss,
                settings=settings,
                command=command,
            )
            state = run.save(settings, checksums, command) if epoch < recipe.epochs else None
            speed = epoch * batches.pictures / run.seconds
            result = EpochResult(checkpoint, state, run.seconds, speed)
            everyone.on_epoch(result)
            if state is not None:
                _stop_if_wished(stop, state, world)
    return result


def check_run(data: TrainingData, recipe: Recipe, log_every: int, world: Rank) -> None:
    """Makes sure that a run can be, before it takes time or room.

    Args:
        data: As for ``train``.
        recipe: Likewise.
        log_every: Likewise.
        world: The processes that train together.

    Raises:
        DigitcliError: The batches do not fit the data or the processes, or a checkpoint could not
            hold what is read of the loss.
    """
    check_batches(data, recipe, world)
    steps = recipe.epochs * math.ceil(len(data.train_labels) / recipe.batch_size)
    check_readings(recipe.epochs, steps // log_every)


def _new_model(
    data: TrainingData, recipe: Recipe, start: InitialWeights | None, world: ProcessGroup
) -> MLP:
    """Makes the network, on the CPU, with the weights that the run starts from."""
    batch_norm = world.batch_norm if recipe.batch_norm else None
    model = MLP(layer_sizes(len(data.classes)), batch_norm=batch_norm)
    if start is not None:
        copy_weights(model, start, data)
    for layer in model.layers[: recipe.frozen]:
        layer.requires_grad_(False)
    return model


def _sample(
    model: MLP, batches: BatchLoader, recipe: Recipe, start: InitialWeights | None
) -> Tensor | None:
    """Returns what batch normalisation is measured on, if there is any; a start stays as it is."""
    if not recipe.batch_norm:
        return None
    sample = batches.sample()
    if start is not None:
        measure(model, sample, neutral=True)
    return sample


def _scored(
    model: MLP,
    run: TrainingRun,
    data: TrainingData,
    scored_x: Tensor,
    sample: Tensor | None,
    *,
    mean_loss: float,
    settings: Settings,
    command: str,
) -> Checkpoint:
    """Measures the plain network, and puts down all that is known of it."""
    if sample is not None:
        measure(model, sample)
    run.check()
    weights = weights_of(model)
    network = plain_mlp(weights, scored_x.device)
    scores = predict_logits(network, scored_x).cpu().numpy()
    accuracy = float((scores.argmax(axis=1) == data.scored_labels).mean())
    epoch, start = run.epoch, settings.start
    run.finish(EpochPoint(epoch, mean_loss, accuracy))
    metadata = Metadata(
        layer_sizes=layer_sizes(len(data.classes)),
        classes=data.classes,
        mean=data.mean,
        std=data.std,
        dataset=data.name,
        recipe=settings.recipe,
        epochs=epoch,
        seed=settings.seed,
        device=scored_x.device.type,
        losses=tuple(run.losses),
        accuracies=tuple(run.accuracies),
        scored_on=data.scored_on,
        temperature=_temperature(data, settings.recipe, scores),
        command=command,
        data_checksums={**data.checksums, **({"from": start} if start else {})},
        versions=library_versions(),
    )
    return Checkpoint(weights, metadata)


def _part(mean: Tensor, share: float) -> Tensor:
    """Weighs the mean over a process's part of a batch, so that all parts add up to the whole's."""
    return mean if share == 1 else mean * share


def _is_time_to_save(
    batch: int, save_every: int | None, stop: StopSignals | None, world: ProcessGroup
) -> bool:
    if save_every is not None and batch % save_every == 0:
        return True
    if world.size > 1 and batch % _BATCHES_PER_REPORT:
        return False  # to agree takes about as long as a batch
    return world.any(stop is not None and stop.received is not None)


def _stop_if_wished(stop: StopSignals | None, state: TrainingState, world: ProcessGroup) -> None:
    received = stop.received if stop is not None else None
    if world.any(received is not None):
        raise StoppedError(
            f"stopped {state.place}",
            "go on with 'digitcli train --resume'",
            exit_code=128 + (received or signal.SIGTERM),
        )


_EXPOSURE = 0.5
"""Weight of one outlier against one digit. Hendrycks, Mazeika and Dietterich (2019) weigh the mean
over all outliers by it; here that mean is weighed by their share of the batch as well."""


def _exposure(logits: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Returns what outliers add to a batch's loss: the more, the more one class is preferred."""
    if not len(logits):
        return logits.sum()  # nothing
    mean = functional.log_softmax(logits, dim=1).mean()
    return _part(-_EXPOSURE * recipe.outliers * mean, batch.outlier_share)


def _temperature(data: TrainingData, recipe: Recipe, scores: npt.NDArray[np.float32]) -> float:
    if data.scored_on == "validation":
        return choose_temperature(scores, data.scored_labels)
    return recipe.temperature  # nothing is fitted on the pictures of a test


_BATCHES_PER_REPORT = 10
"""Often enough for a smooth bar, seldom enough to cost nothing."""


@contextmanager
def _threads_for(recipe: Recipe) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_of(recipe))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
