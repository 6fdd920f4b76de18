"""``digitcli train``: train the lesson's network."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from digitcli.cli.options import (
    DATASET_OPTION,
    DataDir,
    Device,
    Json,
    Mirrors,
    examples,
    file,
    recipe_names,
)
from digitcli.core.lookup import LATEST

EXAMPLES = examples(
    "digitcli train",
    "digitcli train --epochs 10 --device cuda",
    "digitcli train --recipe quick",
    "digitcli train --dataset optdigits",
    "digitcli train --lr 0.05 --output fast.safetensors",
    "digitcli train --seed 1 --json | jq -r 'select(.event == \"epoch\").accuracy'",
)


def train(
    *,
    dataset: Annotated[str, DATASET_OPTION] = "mnist",
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=recipe_names,
            show_default="the data set's",
            help="lesson, quick (98 % in three epochs) or optdigits; further options override it.",
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
        typer.Option(metavar="RATE", show_default="the recipe's", help="Learning rate of SGD."),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(metavar="SHARE", show_default="the recipe's", help="Momentum of SGD."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Decides the initial weights and the order of the pictures.",
        ),
    ] = 0,
    log_every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Batches between readings of the running loss.")
    ] = 300,
    output: Annotated[
        Path,
        typer.Option(parser=file, metavar="FILE", help="Where the weights go, after every epoch."),
    ] = LATEST,
    device: Device = "auto",
    mirror: Mirrors = None,
    data_dir: DataDir,
    json: Json = False,
) -> None:
    """Train the five-layer network 784-512-256-128-64-10 with SGD and cross-entropy.

    MNIST is trained as the lesson does it: 10 epochs of batches of 64,
    learning rate 0.01, momentum 0.5. It is downloaded first if it is missing.
    Other data sets bring their own settings.
    """
    from digitcli.console.download import DownloadDisplay
    from digitcli.core.recipes import find_recipe
    from digitcli.data.datasets import Source, find_dataset

    chosen = find_dataset(dataset)
    flags = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "momentum": momentum}
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    chosen_recipe = replace(find_recipe(recipe, dataset), **given)

    from digitcli.console.streams import print_note, visible
    from digitcli.console.training import training_display
    from digitcli.core import training
    from digitcli.core.checkpoint import check_destination
    from digitcli.core.device import choose_device

    torch_device = choose_device(device)
    check_destination(output)
    if output.exists():
        print_note(f"{visible(str(output))} will be replaced after the first epoch")
    with DownloadDisplay() as progress:
        source = Source(data_dir, mirror or [], progress)
        train_split, test_split = (chosen.load(split, source) for split in ("train", "test"))
    data = training.TrainingData(
        name=chosen.name,
        classes=chosen.classes,
        mean=chosen.mean,
        std=chosen.std,
        train_images=train_split.images,
        train_labels=train_split.labels,
        test_images=test_split.images,
        test_labels=test_split.labels,
    )
    display = training_display(chosen_recipe, len(data.train_labels), as_json=json)
    with display.live():
        state = training.train(
            data,
            chosen_recipe,
            seed=seed,
            log_every=log_every,
            device=torch_device,
            # written before it is shown, so that what is shown is safe
            observers=[training.CheckpointWriter(output), display],
        )
    display.on_done(state, output)
