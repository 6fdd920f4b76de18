"""The training loop: forward, loss, backward, update."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from digitcli.core.batches import Batches, TrainingData
from digitcli.core.calibration import fit_temperature
from digitcli.core.checkpoint import Checkpoint
from digitcli.core.errors import StoppedError
from digitcli.core.metadata import EpochPoint, Metadata, layer_sizes, library_versions
from digitcli.core.model import MLP, normalised, plain_mlp, predict_logits, weights_of
from digitcli.core.observers import EpochResult, Observer
from digitcli.core.optimizers import optimizer_for
from digitcli.core.progress import Progress, checksums_of, threads_of
from digitcli.core.recipes import Recipe
from digitcli.core.resume import Settings, TrainingState, refuse_other_data, refuse_other_settings
from digitcli.core.stopping import StopWish


def train(
    data: TrainingData,
    recipe: Recipe,
    *,
    seed: int,
    log_every: int,
    device: torch.device,
    observers: Sequence[Observer] = (),
    command: str = "",
    resume: TrainingState | None = None,
    save_every: int | None = None,
    stop: StopWish | None = None,
) -> EpochResult:
    """Trains the lesson's network from scratch, or goes on where a run was interrupted.

    The seed decides the initial weights, the order of the pictures, their deformations and the
    outliers among them, all drawn on the CPU, so that every kind of device sees the same; on one
    machine, equal seeds give equal weights to the last bit, interrupted or not.

    Args:
        data: What to learn from and what to measure on.
        recipe: How many epochs of which steps.
        seed: Any integer from 0 to 2**32 - 1.
        log_every: Batches between readings of the running mean loss, at least 1.
        device: Where the data set and the model live.
        observers: Told of batches, losses and epochs as they are done, each in turn.
        command: The command line that the checkpoint records.
        resume: Where to go on; None for a new run.
        save_every: Batches between savings amid an epoch, at least 1; None for none.
        stop: After every batch, whether to save and stop.

    Raises:
        StoppedError: ``stop`` had it so; the observers were given the state.
        DigitcliError: The batches do not fit the data, the loss is no longer a number, or
            ``resume`` is of another run.
    """
    torch.manual_seed(seed)
    sizes = layer_sizes(len(data.classes))
    model = MLP(sizes, batch_norm=recipe.batch_norm).to(device)
    parameters: list[Tensor] = list(model.parameters())
    optimizer = optimizer_for(recipe, parameters)
    batches = Batches(data, recipe, device)
    steps = recipe.epochs * len(batches)
    scored_x = normalised(data.scored_images, data.mean, data.std, device)

    settings = Settings(data.name, data.validation, recipe, seed, log_every)
    checksums = checksums_of(data, recipe)
    run = Progress(model, optimizer, batches)
    if resume is not None:
        refuse_other_settings(resume, settings)
        refuse_other_data(resume, checksums)
        run.restore(resume)
    with _threads_for(recipe):
        while run.epoch <= recipe.epochs:
            epoch = run.epoch
            run.start()
            for x, y in batches.in_order(run.order, done=run.batch):
                logits = model(x)
                loss = functional.cross_entropy(logits[: len(y)], y)
                objective = loss + _exposure(logits[len(y) :], recipe)
                gradients = torch.autograd.grad(objective, parameters)
                optimizer.step(list(gradients), recipe.lr_at(run.step / steps))

                run.on_step(loss)
                if run.batch % log_every == 0:
                    reading = run.read_loss(log_every)
                    for observer in observers:
                        observer.on_loss(reading)
                if run.batch % _BATCHES_PER_REPORT == 0 or run.batch == len(batches):
                    for observer in observers:
                        observer.on_batches(epoch, run.batch)
                if run.batch < len(batches) and _is_time_to_save(run.batch, save_every, stop):
                    run.pause()
                    now = run.save(settings, checksums, command)
                    for observer in observers:
                        observer.on_state(now)
                    _stop_if_wished(stop, now)
            mean_loss = run.mean_loss(len(batches))  # waits for the device
            run.pause()

            run.check()
            weights = weights_of(model)
            scores = predict_logits(plain_mlp(weights, device), scored_x).cpu().numpy()
            accuracy = float((scores.argmax(axis=1) == data.scored_labels).mean())
            run.finish(EpochPoint(epoch, mean_loss, accuracy))
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
                losses=tuple(run.losses),
                accuracies=tuple(run.accuracies),
                scored_on=data.scored_on,
                temperature=_temperature(data, recipe, scores),
                command=command,
                data_checksums=data.checksums,
                versions=library_versions(),
            )
            state = run.save(settings, checksums, command) if epoch < recipe.epochs else None
            speed = epoch * batches.pictures / run.seconds
            result = EpochResult(Checkpoint(weights, metadata), state, run.seconds, speed)
            for observer in observers:
                observer.on_epoch(result)
            _stop_if_wished(stop, state)
    return result


def _is_time_to_save(batch: int, save_every: int | None, stop: StopWish | None) -> bool:
    wished = stop is not None and stop.received is not None
    return wished or (save_every is not None and batch % save_every == 0)


def _stop_if_wished(stop: StopWish | None, state: TrainingState | None) -> None:
    if stop is not None and stop.received is not None and state is not None:
        raise StoppedError(
            f"stopped {state.place}",
            "go on with 'digitcli train --resume'",
            exit_code=128 + stop.received,
        )


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
