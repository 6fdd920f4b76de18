"""``digitcli train``: train the lesson's network."""

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitcli.cli.options import (
    DATASET_OPTION,
    DataDir,
    Device,
    Json,
    Mirrors,
    examples,
    file,
    file_name,
    folder,
    recipe_names,
)
from digitcli.cli.train.settings import (
    DATASET,
    LOG_EVERY,
    SEED,
    command_of,
    find_dataset_of,
    find_initial_weights,
    new_settings,
    with_fitting_batches,
)
from digitcli.core.checkpointing.locate import LATEST, PRETRAINED
from digitcli.core.files.atomic import empty_folders_removed
from digitcli.core.threads import use_reproducible_sums
from digitcli.text import visible

if TYPE_CHECKING:
    from digitcli.console.training import TrainingDisplay
    from digitcli.core.checkpointing.training_state import Settings, TrainingState
    from digitcli.core.training.callbacks.callback import Callback
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.core.training.initial_weights import InitialWeights
    from digitcli.data.datasets.registry import Dataset
    from digitcli.report.curve import LearningCurve

EXAMPLES = examples(
    "digitcli train",
    "digitcli train --epochs 10 --device cuda",
    "digitcli train --recipe quick",
    "digitcli train --recipe best",
    "digitcli train --dataset optdigits",
    "digitcli train --dataset folder:mine --from pretrained",
    "digitcli train --validation 10000 --lr 0.02",
    "digitcli train --lr 0.05 --output fast.safetensors",
    "digitcli train --resume",
    "digitcli train --log-dir runs/1 --plot curve.png",
    "digitcli train --seed 1 --json | jq -r 'select(.event == \"epoch\").accuracy'",
)


def train(
    *,
    dataset: Annotated[str | None, DATASET_OPTION] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=recipe_names,
            show_default="the data set's",
            help="lesson, quick (98 % in 3 epochs), best, optdigits (for small sets), finetune or "
            "transfer (both for --from); other options override it.",
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            parser=file_name,
            metavar="FILE",
            show_default="random weights",
            help=f"Start from the weights of a checkpoint; '{PRETRAINED}' for the bundled ones.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", show_default="the recipe's", help="Passes over the training set."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default="the recipe's", help="Images per step."),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(metavar="RATE", show_default="the recipe's", help="Learning rate."),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(metavar="SHARE", show_default="the recipe's", help="Momentum; AdamW's beta1."),
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Hold out N training images, to score on them instead of the test set and to fit "
            "the temperature.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            show_default=str(SEED),
            help="Seed of the initial weights, the order of the images and the split.",
        ),
    ] = None,
    log_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=str(LOG_EVERY),
            help="Batches between two readings of the running loss.",
        ),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            metavar="",
            show_default="an error if a run was interrupted",
            help="Continue an interrupted run as if it had not stopped, or start over.",
        ),
    ] = None,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="one epoch",
            help="Batches between two saved training states.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Checkpoint, written after every epoch: a .safetensors file.",
        ),
    ] = LATEST,
    log_dir: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="FOLDER",
            help="Log metrics to metrics.csv and metrics.jsonl, and to TensorBoard if installed.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Plot loss and accuracy as PNG or SVG after every epoch; needs the extra plot.",
        ),
    ] = None,
    device: Device = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="the cores that other programs leave free",
            help="CPU threads; any number gives the same weights where torch has MKL.",
        ),
    ] = None,
    mirror: Mirrors = None,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Train the five-layer network 784-512-256-128-64-10 with cross-entropy.

    The default is the lesson's run on MNIST: 10 epochs, batches of 64, learning
    rate 0.01, momentum 0.5. Missing data sets are downloaded first. The default
    recipe depends on the data set and on --from.
    """
    from digitcli.console.streams import print_note
    from digitcli.core.distributed.rank import rank_from_environment
    from digitcli.core.training.callbacks.checkpoint_writer import (
        CheckpointWriter,
        RunCompleteError,
    )
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.data.datasets.registry import find_dataset
    from digitcli.report.curve import LearningCurve

    use_reproducible_sums()
    initial = find_initial_weights(start_from, output) if start_from is not None else None
    options = {
        "dataset": dataset,
        "recipe": recipe,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "momentum": momentum,
        "validation": validation,
        "from": initial.checksum if initial else None,
        "seed": seed,
        "log_every": log_every,
    }
    given = {name: value for name, value in options.items() if value is not None}
    writer = CheckpointWriter(output)
    is_first = rank_from_environment().is_first
    with ExitStack() as stack:
        if is_first:
            made = [
                output.parent,
                *([log_dir] if log_dir else []),
                *([plot.parent] if plot else []),
            ]
            stack.enter_context(empty_folders_removed(*made))
            stack.enter_context(writer.locked())
        try:
            interrupted = writer.find_interrupted(resume=resume, given=given)
        except RunCompleteError as complete:
            if is_first:
                if log_dir is not None:
                    MetricLogger(log_dir).sweep()
                print_note(f"{visible(complete.problem)}, nothing is left to do")
            return
        log = None
        if log_dir is not None and is_first:
            log = stack.enter_context(MetricLogger(log_dir).locked())
        if interrupted is None:
            chosen = find_dataset(DATASET if dataset is None else dataset)
            settings = new_settings(given, chosen, initial)
        else:
            settings, initial = interrupted.settings, None
            if log_every is not None:
                settings = replace(settings, log_every=log_every)
            chosen = find_dataset_of(interrupted)
        run = _Run(
            settings,
            chosen,
            interrupted,
            initial,
            fixed_batch_size=batch_size is not None,
            threads=threads,
        )
        outputs = _Outputs(writer, log, None if plot is None else LearningCurve(plot), json)
        _train(run, outputs, device=device, save_every=save_every, source=(data_dir, mirror or []))


@dataclass(frozen=True)
class _Run:
    """The run that the options ask for."""

    settings: "Settings"
    dataset: "Dataset"
    interrupted: "TrainingState | None"
    initial: "InitialWeights | None"
    fixed_batch_size: bool
    threads: int | None


@dataclass(frozen=True)
class _Outputs:
    """Where a run is written, logged, plotted and shown."""

    writer: "CheckpointWriter"
    log: "MetricLogger | None"
    curve: "LearningCurve | None"
    as_json: bool


def _train(
    run: _Run,
    outputs: _Outputs,
    *,
    device: str,
    save_every: int | None,
    source: tuple[Path, list[str]],
) -> None:
    """Loads the data and trains, in this process's share of the work."""
    from digitcli.core.imports import import_torch

    import_torch("training")
    from digitcli.cli.train.messages import (
        next_steps,
        print_better_weights,
        print_plan,
        print_unanswered,
    )
    from digitcli.console.download import DownloadDisplay
    from digitcli.console.streams import print_note
    from digitcli.console.training import TrainingDisplay, training_display
    from digitcli.core.device import choose_device
    from digitcli.core.distributed.process_group import join, local_device
    from digitcli.core.distributed.rank import rank_from_environment
    from digitcli.core.training.loop import train as train_network
    from digitcli.core.training.run import machine
    from digitcli.core.training.scoring import initial_accuracy, rare_unanswered_classes
    from digitcli.core.training.signals import StopSignals
    from digitcli.data.datasets.registry import DatasetLocation
    from digitcli.data.datasets.training_data import load_training_data
    from digitcli.data.download.fetch import DownloadProgress

    settings, interrupted, rank = run.settings, run.interrupted, rank_from_environment()
    torch_device = local_device(choose_device(device))
    if rank.is_first:
        computer = machine(torch_device, settings.recipe, rank, run.threads)
        print_plan(settings, interrupted, run.initial, computer)
    with DownloadDisplay() if rank.is_first else nullcontext(DownloadProgress()) as progress:
        data = load_training_data(run.dataset, DatasetLocation(*source, progress), settings)
    if interrupted is None and not run.fixed_batch_size:
        settings = with_fitting_batches(settings, len(data.train_labels), rank)
    display = TrainingDisplay()  # shows nothing
    callbacks: list[Callback] = []
    if rank.is_first:
        accuracy = initial_accuracy(run.initial.checkpoint, data) if run.initial else None
        display = training_display(data, settings.recipe, accuracy, as_json=outputs.as_json)
        callbacks = _callbacks(run, outputs, display, accuracy)
    with (
        next_steps(outputs.writer, outputs.log, outputs.curve),
        StopSignals(ignore_further=rank.size > 1) as signals,
        join(torch_device) as group,
        display,
    ):
        result = train_network(
            data,
            settings,
            device=torch_device,
            callbacks=callbacks,
            command=interrupted.command if interrupted else command_of(settings, run.initial),
            initial=run.initial,
            resume=interrupted,
            save_every=save_every,
            signals=signals,
            group=group,
            threads=run.threads,
        )
    if rank.is_first:
        unanswered = rare_unanswered_classes(result.checkpoint, data)
        display.on_done(result, outputs.writer.output, unanswered)
        if outputs.log is not None:
            print_note(f"wrote the metrics {visible(str(outputs.log.lines))}")
        if outputs.curve is not None:
            print_note(f"wrote the plot {visible(str(outputs.curve.path))}")
        print_unanswered(data, unanswered)
        print_better_weights(outputs.writer.output, result.checkpoint.metadata)


def _callbacks(
    run: _Run, outputs: _Outputs, display: "TrainingDisplay", accuracy: float | None
) -> "list[Callback]":
    """Returns the callbacks of a run in the order that they are called in."""
    from digitcli.cli.train.messages import StartNotes

    batch_size = run.settings.recipe.batch_size
    notes = StartNotes(batch_size, accuracy, outputs.writer.replaced, outputs.log, outputs.curve)
    # log and plot come before the writer: no saved run may be ahead of them, as nothing would ever
    # complete them; started last, the log of another run is cut after that run's state is removed
    every = (outputs.log, outputs.curve, outputs.writer, display, notes)
    return [callback for callback in every if callback is not None]
