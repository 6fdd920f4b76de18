"""``digitcli import``: make a checkpoint from weights that another program saved."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from digitcli.cli.lists import split_names
from digitcli.cli.options import Json, dataset_names, examples, file

EXAMPLES = examples(
    "digitcli import mnist.pth --output mine.safetensors",
    "digitcli eval --checkpoint mine.safetensors",
    "digitcli import net.npz --mean 0 --std 1 --output plain.safetensors",
    "digitcli import abc.pth --classes A,B,C --output abc.safetensors",
    "digitcli import clothes.pth --dataset fashion-mnist --output clothes.safetensors",
)


def import_weights(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            parser=file,
            show_default=False,
            help="A state dict of torch.save, safetensors, or an npz file.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            parser=file, metavar="OUT", show_default=False, help="The checkpoint to write."
        ),
    ],
    mean: Annotated[
        float | None,
        typer.Option(
            metavar="M", show_default="0.1307", help="Mean that was subtracted from pixels in 0..1."
        ),
    ] = None,
    std: Annotated[
        float | None,
        typer.Option(metavar="S", show_default="0.3081", help="Divisor of the pixels after that."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            show_default="0 to N-1",
            help="Names of the classes, in the order of the outputs.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=dataset_names,
            help="Data set that the network was trained on; sets classes, mean and std.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make a checkpoint for the other commands from weights that another program saved.

    The network must be a chain of Linear layers with ReLU between them, from 784 pixels to
    the scores of 2 to 100 classes. Its layers are found by names and shapes. No code in the
    file is run.
    """
    from digitcli.console.checkpoint import show_import
    from digitcli.console.streams import as_kept, print_note
    from digitcli.core.checkpointing.checkpoint import save_checkpoint
    from digitcli.core.checkpointing.replaced import find_replaced
    from digitcli.core.checkpointing.training_state import state_path
    from digitcli.core.errors import DigitcliError
    from digitcli.core.files.atomic import check_writable, resolve_links, write_errors
    from digitcli.core.files.home import portable_path
    from digitcli.core.files.locks import exclusive_lock
    from digitcli.core.importing.checkpoint import make_checkpoint, read_network
    from digitcli.text import visible

    if resolve_links(source) == resolve_links(output):
        raise DigitcliError(f"{output} is the file to import", "give another --output")
    state = state_path(output)
    network = read_network(source)
    known = _known(dataset, classes, mean, std)
    assumed = _assumed(known, network.outputs)
    values = known | assumed
    if len(values["classes"]) != network.outputs:
        raise DigitcliError(
            f"{source} has {network.outputs:,} outputs, and there are "
            f"{len(values['classes']):,} classes",
            "name one class per output with --classes",
        )
    options = {"--dataset": dataset, "--classes": classes, "--mean": mean, "--std": std}
    paths = portable_path(str(source)), portable_path(str(output))
    words = ["digitcli", "import", paths[0], "--output", paths[1]]
    for name, value in options.items():
        words += [] if value is None else [name, str(value)]
    checkpoint = make_checkpoint(network, **values, command=shlex.join(words))
    with write_errors(output, "choose another place with --output"):
        check_writable(output)
    with exclusive_lock(state, "digitcli import", wait=0, next_step="give another --output"):
        if (replaced := find_replaced(output)) is not None:
            replaced.check()
            end = "" if replaced.kept is None else as_kept(replaced.kept)
            print_note(f"{visible(str(output))} will be replaced{end}")
            replaced.keep()
        save_checkpoint(output, checkpoint)
    show_import(network, checkpoint.metadata, output, assumed=list(assumed), as_json=json)


def _known(
    dataset: str | None, classes: str | None, mean: float | None, std: float | None
) -> dict[str, Any]:
    """Returns what the options and the named data set tell about a network; options come first."""
    known: dict[str, Any] = {}
    if dataset is not None:
        from digitcli.core.checkpointing.metadata import recorded_dataset
        from digitcli.data.datasets.registry import find_dataset

        chosen = find_dataset(dataset)
        known |= {"dataset": recorded_dataset(chosen.name), "classes": chosen.classes}
        known |= dict(zip(("mean", "std"), chosen.normalization or (), strict=False))
    names = None if classes is None else tuple(split_names(classes))
    given = {"classes": names, "mean": mean, "std": std}
    return known | {name: value for name, value in given.items() if value is not None}


def _assumed(known: dict[str, Any], outputs: int) -> dict[str, Any]:
    """Returns what is not known about a network: by default that of a network for MNIST."""
    from digitcli.core.checkpointing.metadata import UNKNOWN_DATASET
    from digitcli.data.download.manifest import DIGITS, MNIST_NORMALIZATION

    names = tuple(map(str, range(outputs)))
    dataset = "mnist" if known.get("classes", names) == DIGITS else UNKNOWN_DATASET
    mean, std = MNIST_NORMALIZATION
    defaults = {"mean": mean, "std": std, "classes": names, "dataset": dataset}
    return {name: value for name, value in defaults.items() if name not in known}
