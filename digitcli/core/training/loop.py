"""The training loop: for each batch zero_grad, forward, loss, backward, update, like the lesson."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from digitcli.core.checkpointing.training_state import Settings, TrainingState
from digitcli.core.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from digitcli.core.recipes import Recipe
from digitcli.core.training.backpropagation import BackpropagationStep, covers
from digitcli.core.training.callbacks.callback import Callback, EpochResult
from digitcli.core.training.cpu_threads import cpu_threads
from digitcli.core.training.cuda_graphs import Step, capture_step
from digitcli.core.training.data import TrainingData
from digitcli.core.training.initial_weights import InitialWeights, build_model
from digitcli.core.training.loader import Batch, BatchLoader
from digitcli.core.training.optimizers import SGD, make_optimizer
from digitcli.core.training.run import Saving, TrainingRun, check_run
from digitcli.core.training.scoring import Scorer
from digitcli.core.training.signals import StopSignals

_REPORT_EVERY = 10
"""Batches between two reports of progress: smooth for a bar, and free."""

_OUTLIER_WEIGHT = 0.5
"""Weight of one outlier against one digit (Hendrycks, Mazeika and Dietterich 2019; they weight the
mean over all outliers, which here is weighted by their fraction of the batch as well)."""


def train(
    data: TrainingData,
    settings: Settings,
    *,
    device: torch.device,
    callbacks: Sequence[Callback] = (),
    command: str = "",
    initial: InitialWeights | None = None,
    resume: TrainingState | None = None,
    save_every: int | None = None,
    signals: StopSignals | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    threads: int | None = None,
) -> EpochResult:
    """Trains the lesson's network, from random or given weights, or resumes a run.

    The seed decides the initial weights, the order of the images, their deformations, the
    synthetic digits and the outliers. All are drawn on the CPU, so every device sees the same. On
    one machine equal seeds give equal weights to the last bit, interrupted or not.

    Args:
        data: Images to learn from and to score on.
        settings: Recipe, seed and all else that decides the weights.
        device: Device of the data and the model.
        callbacks: Called after batches and epochs, each in turn; at the start in reverse order.
        command: Command line that the checkpoint records.
        initial: Weights to start from; None for random ones.
        resume: State to resume from; None for a new run.
        save_every: Batches between two saved states within an epoch; None for none.
        signals: Signals on which to save and stop; None for none.
        group: Processes that train together; each calls this and gets the result.
        threads: Number of CPU threads; None for as many as other programs leave cores for.

    Raises:
        StoppedError: A signal arrived; the state was saved by the callbacks.
        DigitcliError: The batches do not fit the data, the loss is not finite any more, or
            ``resume`` belongs to another run.
    """
    check_run(data, settings, group)
    recipe = settings.recipe
    torch.manual_seed(settings.seed)
    loader = BatchLoader(data, recipe, device, group)
    model = build_model(data, recipe, initial, group).to(device)
    scorer = Scorer(data, recipe, model, loader, neutral=initial is not None)
    network = group.wrap(model)  # every process gets the weights of the first one
    optimizer = make_optimizer(recipe, [p for p in model.parameters() if p.requires_grad])

    def step(batch: Batch, lr: float | Tensor) -> Tensor:
        optimizer.zero_grad()
        logits = network(batch.images)
        digits, outliers = logits[: len(batch.labels)], logits[len(batch.labels) :]
        loss = cross_entropy(digits, batch.labels) * batch.share
        objective = loss + outlier_loss(outliers, batch, recipe) if recipe.outliers else loss
        group.scaled(objective).backward()
        optimizer.step(lr)
        return loss.detach()

    fast: Step = step
    if isinstance(optimizer, SGD) and covers(recipe, device, group):
        fast = BackpropagationStep(model, optimizer, recipe, loader.full_batch)
    take_step = capture_step(
        fast,
        plain=step,
        state=[*model.state_dict().values(), *optimizer.state().values()],
        size=loader.full_batch,
        device=device,
        callbacks=callbacks,
        rank=group,
    )
    checksums = data.checksums_for(recipe)
    run = TrainingRun(
        model,
        optimizer,
        loader,
        settings,
        checksums=checksums,
        command=command,
        group=group,
        threads=threads,
    )
    if resume is not None:
        run.restore(resume)
    for callback in reversed(callbacks):
        callback.on_start(data, settings, resume)
    saving = Saving(run, callbacks, save_every, signals)
    cores = cpu_threads(recipe, device, threads)
    with cores.in_use():
        while run.epoch <= recipe.epochs:
            run.start_epoch()
            for batch in loader.epoch(run.order, skip=run.batch):
                loss = take_step(batch, recipe.lr_at(run.fraction_done))

                run.record(loss)
                if run.batch % settings.log_every == 0:
                    reading = run.read_loss()
                    for callback in callbacks:
                        callback.on_loss(reading)
                if run.batch % _REPORT_EVERY == 0 or run.batch == loader.batches:
                    for callback in callbacks:
                        callback.on_batches(run.epoch, run.batch)
                saving.after_batch()
                cores.after_batch()
            result = run.finish_epoch(scorer)
            for callback in callbacks:
                callback.on_epoch(result)
            saving.after_epoch(result)
    return result


def outlier_loss(logits: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Returns the cross-entropy of outliers against the uniform distribution, weighted."""
    if not len(logits):
        return logits.sum()  # 0, with a gradient of 0
    mean = log_softmax(logits, dim=1).mean()
    return -_OUTLIER_WEIGHT * recipe.outliers * mean * batch.outlier_share
