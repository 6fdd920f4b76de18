"""Options that several commands share, and the examples under every help page."""

import os
from pathlib import Path
from typing import Annotated

import typer

from digitcli.core.checkpointing.locate import CHECKPOINT_VARIABLE, LATEST, PRETRAINED


def default_data_dir() -> Path:
    """Returns the folder for data sets in the user's cache, as the operating system has it."""
    from platformdirs import user_cache_path

    return user_cache_path("digitcli", appauthor=False)


def file(name: str | Path) -> Path:
    """Reads an option that names a file."""
    if not name or str(name).endswith(("/", os.sep)):
        raise typer.BadParameter("name a file")
    return Path(name)


def folder(name: str | Path) -> Path:
    """Reads an option that names a folder."""
    if not name:
        raise typer.BadParameter("name a folder")
    return Path(name)


def file_name(name: str) -> str:
    """Reads an option that names a file, as it is written: "./-" is none of what "-" stands for."""
    file(name)
    return name


def _checkpoint_names(incomplete: str) -> list[str]:
    return [PRETRAINED] if incomplete else []  # before anything is typed, the shell offers files


def _dataset_names() -> list[str]:
    from digitcli.data.datasets.image_folder import PREFIX
    from digitcli.data.datasets.registry import DATASETS

    return [*DATASETS, PREFIX]


def _split_names() -> list[str]:
    from digitcli.data.datasets.registry import SPLITS

    return list(SPLITS)


def recipe_names() -> list[str]:
    """Lists what ``--recipe`` takes, for completion."""
    from digitcli.core.recipes import RECIPES

    return list(RECIPES)


def _device_names() -> list[str]:
    return ["auto", "cpu", "cuda", "mps"]


Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print results as JSON on standard output.")
]

DataDir = Annotated[
    Path,
    typer.Option(
        default_factory=default_data_dir,
        parser=folder,
        show_default="the user's cache folder",
        envvar="DIGITCLI_DATA_DIR",
        metavar="FOLDER",
        help="Where data sets are kept.",
    ),
]

Mirrors = Annotated[
    list[str] | None,
    typer.Option(
        "--mirror",
        envvar="DIGITCLI_MIRROR",
        metavar="SOURCE",
        show_default="torchvision's list",
        help="A folder or address with the data set's archives; several are tried in turn.",
    ),
]

CheckpointFile = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        parser=file_name,
        autocompletion=_checkpoint_names,
        envvar=CHECKPOINT_VARIABLE,
        metavar="FILE",
        show_default=f"{LATEST} if there, else digitcli's own",
        help=f"The weights to use; '{PRETRAINED}' are digitcli's own.",
    ),
]

Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        autocompletion=_device_names,
        help="auto, cpu, cuda, cuda:N or mps; auto takes CUDA, else MPS, else the CPU.",
    ),
]

DATASET_OPTION = typer.Option(
    "--dataset",
    metavar="NAME",
    autocompletion=_dataset_names,
    help="mnist, fashion-mnist, kmnist, qmnist, usps; optdigits, which comes with scikit-learn and "
    "needs no network; or folder:PATH, a folder of pictures for each class.",
)

SPLIT_OPTION = typer.Option(
    "--split",
    metavar="NAME",
    autocompletion=_split_names,
    help="train or test: which part of the data set.",
)


_HEADING = "[bold]Examples[/bold]\n\n"


def examples(*lines: str) -> str:
    """Lays out example commands for the end of a help page that rich draws, a line each."""
    return _HEADING + "\n".join(f"  $ {line}" for line in lines)


def plain_examples(epilog: str) -> str:
    """Lays out the same for a help page of plain lines."""
    return "\b\nExamples:\n" + epilog.removeprefix(_HEADING)  # \b: the lines are kept as they are
