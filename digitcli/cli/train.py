"""``digitcli train``: train the lesson's network."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from digitcli.core.recipes import Recipe

_DATASET = "mnist"
_LOG_EVERY = 300

EXAMPLES = examples(
    "digitcli train",
    "digitcli train --epochs 10 --device cuda",
    "digitcli train --recipe quick",
    "digitcli train --recipe best",
    "digitcli train --dataset optdigits",
    "digitcli train --validation 10000 --lr 0.02",
    "digitcli train --lr 0.05 --output fast.safetensors",
    "digitcli train --seed 1 --json | jq -r 'select(.event == \"epoch\").accuracy'",
)


def train(
    *,
    dataset: Annotated[str, DATASET_OPTION] = _DATASET,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=recipe_names,
            show_default="the data set's",
            help="lesson, quick (98 % in 3 epochs), best or optdigits; other options override it.",
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
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Decides the initial weights, the order of the pictures, and which are held out.",
        ),
    ] = 0,
    log_every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Batches between readings of the running loss.")
    ] = _LOG_EVERY,
    output: Annotated[
        Path,
        typer.Option(parser=file, metavar="FILE", help="Where the weights go, after every epoch."),
    ] = LATEST,
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
    from digitcli.console.download import DownloadDisplay
    from digitcli.core.recipes import find_recipe
    from digitcli.data.datasets import Source, find_dataset
    from digitcli.data.split import hold_out

    chosen = find_dataset(dataset)
    flags = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "momentum": momentum}
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    named_recipe = find_recipe(recipe, dataset)
    chosen_recipe = replace(named_recipe, **given)
    if chosen_recipe != named_recipe:
        chosen_recipe = replace(chosen_recipe, temperature=1.0)  # it was fitted to another run

    from digitcli.console.streams import print_note, visible
    from digitcli.console.training import training_display
    from digitcli.core import training
    from digitcli.core.batches import TrainingData
    from digitcli.core.checkpoint import check_destination
    from digitcli.core.device import choose_device

    torch_device = choose_device(device)
    check_destination(output)
    if output.exists():
        print_note(f"{visible(str(output))} will be replaced after the first epoch")
    with DownloadDisplay() as progress:
        source = Source(data_dir, mirror or [], progress)
        train_split = chosen.load("train", source)
        if validation is None:
            scored_split = chosen.load("test", source)
        else:
            train_split, scored_split = hold_out(train_split, validation, seed)
    outliers = None
    if chosen_recipe.outliers:
        from digitcli.data.outliers import make_outliers

        print_note("making pictures of no digit, which the recipe trains with too")
        outliers = make_outliers(train_split.images, train_split.labels, seed)
    data = TrainingData(
        name=chosen.name,
        classes=chosen.classes,
        mean=chosen.mean,
        std=chosen.std,
        train_images=train_split.images,
        train_labels=train_split.labels,
        scored_images=scored_split.images,
        scored_labels=scored_split.labels,
        scored_on="test" if validation is None else "validation",
        checksums=train_split.checksums | scored_split.checksums,
        outliers=outliers,
    )
    display = training_display(data, chosen_recipe, as_json=json)
    with display.live():
        state = training.train(
            data,
            chosen_recipe,
            seed=seed,
            log_every=log_every,
            device=torch_device,
            # written before it is shown, so that what is shown is safe
            observers=[training.CheckpointWriter(output), display],
            command=_command(
                named_recipe,
                chosen_recipe,
                dataset=dataset,
                validation=validation,
                seed=seed,
                log_every=log_every,
            ),
        )
    display.on_done(state, output)


def _command(
    named: "Recipe",
    chosen: "Recipe",
    *,
    dataset: str,
    validation: int | None,
    seed: int,
    log_every: int,
) -> str:
    """Writes down all that decides what is in a checkpoint, and nothing else.

    Where the file goes, and what computes it, are left out: equal runs make equal files.
    """
    words = ["digitcli", "train", "--recipe", named.name]
    if dataset != _DATASET:
        words += ["--dataset", dataset]
    for name, value in vars(chosen).items():
        if value != getattr(named, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if validation is not None:
        words += ["--validation", str(validation)]
    words += ["--seed", str(seed)]
    if log_every != _LOG_EVERY:
        words += ["--log-every", str(log_every)]
    return shlex.join(words)
