"""``digitcli train``: train the lesson's network."""

from contextlib import ExitStack, nullcontext
from functools import partial
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
from digitcli.cli.train.advice import advice
from digitcli.cli.train.messages import begin_watching, tell_beginning, tell_start
from digitcli.cli.train.settings import (
    LOG_EVERY,
    SEED,
    command_of,
    find_initial_weights,
    new_settings,
    with_batches_of,
)
from digitcli.core.checkpointing.locate import LATEST, PRETRAINED

if TYPE_CHECKING:
    from digitcli.core.checkpointing.training_state import Settings, TrainingState
    from digitcli.core.training.callbacks.callback import Callback
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.core.training.initial_weights import InitialWeights
    from digitcli.report.curve import Curve

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
            "transfer (for --from); other options override it.",
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            parser=file_name,
            metavar="FILE",
            show_default="random weights",
            help=f"Start from the weights of a checkpoint; '{PRETRAINED}' are digitcli's own.",
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
        typer.Option(min=1, metavar="N", show_default="the recipe's", help="Pictures per step."),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(metavar="RATE", show_default="the recipe's", help="Learning rate."),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(metavar="SHARE", show_default="the recipe's", help="Momentum; Adam's beta1."),
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Hold N training pictures out; score and fit the temperature on them, and leave "
            "the test set alone.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            show_default=str(SEED),
            help="Decides the initial weights, the order of the pictures, and which are held out.",
        ),
    ] = None,
    log_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=str(LOG_EVERY),
            help="BatchLoader between readings of the running loss.",
        ),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            metavar="",
            show_default="stop if there is one",
            help="Go on with an interrupted run, just as it would have gone; or start over.",
        ),
    ] = None,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="each epoch",
            help="BatchLoader between savings of what --resume needs.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(parser=file, metavar="FILE", help="Where the weights go, after every epoch."),
    ] = LATEST,
    log_dir: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="FOLDER",
            help="Write metrics.csv and metrics.jsonl as it goes, and with the extra tensorboard "
            "its events.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            parser=file,
            metavar="FILE",
            help="Draw loss and accuracy as PNG or SVG, after every epoch; needs the extra plot.",
        ),
    ] = None,
    device: Device = "auto",
    mirror: Mirrors = None,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Train the five-layer network 784-512-256-128-64-10 with cross-entropy.

    MNIST is trained as the lesson does it: 10 epochs of batches of 64,
    learning rate 0.01, momentum 0.5. It is downloaded first if it is missing.
    Other data sets bring their own settings.
    """
    from digitcli.core.distributed.rank import rank_from_environment
    from digitcli.core.training.callbacks.checkpoint_writer import CheckpointWriter, CompleteError
    from digitcli.core.training.callbacks.metric_logger import MetricLogger
    from digitcli.report.curve import Curve

    start = find_initial_weights(start_from, output) if start_from is not None else None
    flags = {
        "dataset": dataset,
        "recipe": recipe,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "momentum": momentum,
        "validation": validation,
        "from": start.checksum if start else None,
        "seed": seed,
        "log_every": log_every,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    writer = CheckpointWriter(output)
    is_first = rank_from_environment().is_first
    with ExitStack() as stack:
        if is_first:
            stack.enter_context(writer.alone())
        try:
            interrupted = writer.interrupted(resume=resume, given=given)
        except CompleteError as complete:
            from digitcli.console.streams import print_note
            from digitcli.text import visible

            print_note(f"{visible(complete.problem)}, nothing is left to do")
            return
        log = None
        if log_dir is not None and is_first:
            log = stack.enter_context(MetricLogger(log_dir).alone())
        _run(
            writer,
            new_settings(given, start) if interrupted is None else interrupted.settings,
            interrupted,
            start=start if interrupted is None else None,
            shrinks=interrupted is None and batch_size is None,
            device=device,
            save_every=save_every,
            log=log,
            curve=None if plot is None else Curve(plot),
            source=(data_dir, mirror or []),
            as_json=json,
        )


def _run(
    writer: "CheckpointWriter",
    settings: "Settings",
    interrupted: "TrainingState | None",
    *,
    start: "InitialWeights | None",
    shrinks: bool,
    device: str,
    save_every: int | None,
    log: "MetricLogger | None",
    curve: "Curve | None",
    source: tuple[Path, list[str]],
    as_json: bool,
) -> None:
    from digitcli.console.download import DownloadDisplay
    from digitcli.console.training import TrainingDisplay, training_display
    from digitcli.core.device import choose_device
    from digitcli.core.distributed.process_group import join, local_device
    from digitcli.core.distributed.rank import rank_from_environment
    from digitcli.core.training.callbacks.cpu_contention import CpuContention
    from digitcli.core.training.loop import check_run
    from digitcli.core.training.loop import train as train_network
    from digitcli.core.training.run import machine, threads_of
    from digitcli.core.training.signals import StopSignals
    from digitcli.data.datasets.registry import DatasetLocation
    from digitcli.data.datasets.training_data import load_training_data
    from digitcli.data.download.fetch import DownloadProgress

    recipe, rank = settings.recipe, rank_from_environment()
    torch_device = local_device(choose_device(device))
    if rank.is_first:
        tell_beginning(settings, interrupted, start, machine(torch_device, recipe, rank))
    with DownloadDisplay() if rank.is_first else nullcontext(DownloadProgress()) as progress:
        data = load_training_data(
            settings.dataset,
            DatasetLocation(*source, progress),
            validation=settings.validation,
            seed=settings.seed,
            outliers=bool(recipe.outliers),
            classes=settings.classes,
        )
    if shrinks:
        settings = with_batches_of(settings, len(data.train_labels), rank)
    check_run(data, settings.recipe, settings.log_every, rank)
    if rank.is_first:
        tell_start(recipe, settings, None if interrupted else writer.output)
    recipe = settings.recipe
    display = TrainingDisplay()  # which shows nothing
    observers: list[Callback] = []
    if rank.is_first:
        display = training_display(data, recipe, as_json=as_json, resumed=interrupted)
        begin_watching(log, curve, data, recipe, interrupted)
        # First the log, which no saved state may be ahead of; what is shown after it was saved.
        observers = [each for each in (log, writer, curve, display) if each is not None]
        if torch_device.type == "cpu":
            threads = threads_of(recipe)
            observers.append(CpuContention(threads, partial(display.on_crowded, threads)))
    with (
        advice(writer, log, curve),
        StopSignals(patient=rank.size > 1) as stop,
        join(torch_device) as world,
        display.live(),
    ):
        result = train_network(
            data,
            recipe,
            seed=settings.seed,
            log_every=settings.log_every,
            device=torch_device,
            observers=observers,
            command=interrupted.command if interrupted else command_of(settings, start),
            start=start,
            resume=interrupted,
            save_every=save_every,
            stop=stop,
            world=world,
        )
    display.on_done(result, writer.output)
