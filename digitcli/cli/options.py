"""Options that several commands share, and the layout of examples in help pages."""

import os
from pathlib import Path
from typing import Annotated

import typer

from digitcli.core.checkpointing.locate import CHECKPOINT_VARIABLE, LATEST, PRETRAINED
from digitcli.core.files.home import expand_home

_HEADING = "[bold]Examples[/bold]\n\n"


def examples(*lines: str) -> str:
    """Returns example commands for the end of a help page that rich draws, one per line."""
    return _HEADING + "\n".join(f"  $ {line}" for line in lines)


def plain_examples(epilog: str) -> str:
    r"""Returns the same examples for a plain help page; \b keeps their line breaks."""
    return "\b\nExamples:\n" + epilog.removeprefix(_HEADING)


def default_data_dir() -> Path:
    """Returns the folder for data sets in the cache folder of the user."""
    from platformdirs import user_cache_path

    return user_cache_path("digitcli", appauthor=False)


def file(name: str | Path) -> Path:
    """Parses an option that names a file."""
    if not name or str(name).endswith(("/", os.sep)):
        raise typer.BadParameter("name a file")
    return Path(expand_home(str(name)))


def folder(name: str | Path) -> Path:
    """Parses an option that names a folder."""
    if not name:
        raise typer.BadParameter("name a folder")
    return Path(expand_home(str(name)))


def file_name(name: str) -> str:
    """Parses an option that names a file, as text: a ``Path`` would turn "./-" into "-"."""
    file(name)
    return expand_home(name)


def mirror(name: str) -> str:
    """Parses an option that names a folder or an address."""
    if not name:
        raise typer.BadParameter("name a folder or an address")
    return expand_home(name)


def checkpoint_names(incomplete: str) -> list[str]:
    """Returns the values of ``--checkpoint`` that are no files, for completion."""
    return [PRETRAINED] if incomplete else []  # for an empty word the shell offers files


def dataset_names() -> list[str]:
    """Returns the values of ``--dataset``, for completion."""
    from digitcli.core.checkpointing.metadata import FOLDER_PREFIX
    from digitcli.data.datasets.registry import DATASETS

    return [*DATASETS, FOLDER_PREFIX]


def _split_names() -> list[str]:
    from digitcli.data.datasets.registry import SPLITS

    return list(SPLITS)


def recipe_names() -> list[str]:
    """Returns the values of ``--recipe``, for completion."""
    from digitcli.core.recipes import RECIPES

    return list(RECIPES)


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
        help="Folder of downloaded data sets.",
    ),
]

Mirrors = Annotated[
    list[str] | None,
    typer.Option(
        "--mirror",
        parser=mirror,
        envvar="DIGITCLI_MIRROR",
        metavar="SOURCE",
        show_default="torchvision's list",
        help="Folder or URL of the data set's archives; several are tried in turn.",
    ),
]

CheckpointFile = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        parser=file_name,
        autocompletion=checkpoint_names,
        envvar=CHECKPOINT_VARIABLE,
        metavar="FILE",
        show_default=f"{LATEST} if there, else {PRETRAINED}",
        help=f"Checkpoint to use; '{PRETRAINED}' names the bundled weights.",
    ),
]

Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        autocompletion=lambda: ["auto", "cpu", "cuda", "mps"],
        help="auto, cpu, cuda, cuda:N or mps; auto takes CUDA, else MPS, else the CPU.",
    ),
]

DATASET_OPTION = typer.Option(
    "--dataset",
    metavar="NAME",
    autocompletion=dataset_names,
    help="mnist, fashion-mnist, kmnist, qmnist, usps; optdigits, which comes with scikit-learn and "
    "needs no network; or folder:PATH, where PATH has a folder of images for each class.",
)

SPLIT_OPTION = typer.Option(
    "--split",
    metavar="NAME",
    autocompletion=_split_names,
    show_default="test; all of a folder that the checkpoint was not trained on",
    help="Part of the data set: train, test, all, or validation of a folder that has one.",
)
