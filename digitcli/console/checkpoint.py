"""Output of ``digitcli import`` and ``digitcli info``."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitcli.console.streams import (
    is_terminal,
    print_facts,
    print_json,
    print_line,
    print_note,
    print_text,
    print_whole,
)
from digitcli.core.checkpointing.locate import LATEST, is_bundled
from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.files.atomic import resolve_links
from digitcli.core.recipes import Recipe
from digitcli.text import fixed, percent, visible

if TYPE_CHECKING:
    from digitcli.core.importing.checkpoint import Network

_MAX_CLASSES = 20
"""Maximum number of class names in one line of text."""


def show_import(
    network: "Network", metadata: Metadata, output: Path, *, assumed: Sequence[str], as_json: bool
) -> None:
    """Prints the layers found, the file written, and on standard error what was assumed.

    ``assumed`` are the names of options among mean, std, classes and dataset that had to be
    assumed.
    """
    if as_json:
        rows = zip(_layers(metadata), network.layers, strict=True)
        print_json(
            {
                "path": str(network.path),
                "format": network.format,
                "layers": [{**layer, "name": found.name} for layer, found in rows],
                "classes": list(metadata.classes),
                "mean": metadata.mean,
                "std": metadata.std,
                "dataset": metadata.dataset,
                "assumed": list(assumed),
                "checkpoint": str(output),
            }
        )
    else:
        _print_table(metadata, [visible(layer.name) for layer in network.layers])
        print_line("")
        print_text(f"wrote {visible(str(output))}  ({network.format}; {_network(metadata)})")
    if assumed:
        values = {
            "mean": f"mean {metadata.mean:g}",
            "std": f"std {metadata.std:g}",
            "classes": f"classes 0 to {len(metadata.classes) - 1}",
            "dataset": f"data set {metadata.dataset}",
        }
        listed = ", ".join(values[name] for name in assumed)
        print_note(f"assumed {listed}; change with {' '.join(f'--{n}' for n in assumed)}")


def show_checkpoint(path: Path, metadata: Metadata, *, as_json: bool) -> None:
    """Prints what a checkpoint records: its network, its training and its scores."""
    if as_json:
        values = asdict(metadata)
        values["command"] = _command(path, metadata)
        print_json({"checkpoint": str(path), "layers": _layers(metadata), **values})
        return
    facts = _facts(path, metadata)
    if not is_terminal(sys.stdout):
        for name, value in facts:
            print_line(f"{name}\t{value}")
        print_line("")
        _print_table(metadata)
        return
    print_facts(facts)
    _print_table(metadata)


def _layers(metadata: Metadata) -> list[dict[str, Any]]:
    """Returns the names, widths and numbers of parameters of a checkpoint's layers."""
    return [
        {
            "layer": f"l{number}",
            "inputs": inputs,
            "outputs": outputs,
            "parameters": outputs * (inputs + 1),
        }
        for number, (inputs, outputs) in enumerate(pairwise(metadata.layer_sizes), start=1)
    ]


def _network(metadata: Metadata) -> str:
    parameters = sum(layer["parameters"] for layer in _layers(metadata))
    return f"{'-'.join(map(str, metadata.layer_sizes))}, {parameters:,} parameters"


def _print_table(metadata: Metadata, found: Sequence[str] | None = None) -> None:
    """Prints a row per layer, with its name in the imported file if there is one."""
    heading = ["layer", *(["found"] if found else []), "weight", "bias", "parameters"]
    rows = [
        [
            layer["layer"],
            *([found[number]] if found else []),
            f"{layer['outputs']}x{layer['inputs']}",
            str(layer["outputs"]),
            str(layer["parameters"]),
        ]
        for number, layer in enumerate(_layers(metadata))
    ]
    if not is_terminal(sys.stdout):
        for cells in (heading, *rows):
            print_line("\t".join(cells))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold cyan", pad_edge=False)
    for name in heading:
        table.add_column(name, justify="left" if name in ("layer", "found") else "right")
    for cells in rows:
        table.add_row(*map(Text, cells))
    print_whole(table)


def _facts(path: Path, metadata: Metadata) -> list[tuple[str, str]]:
    recipe = metadata.recipe
    names = [visible(name) for name in metadata.classes[:_MAX_CLASSES]]
    more = len(metadata.classes) - len(names)
    facts = [
        ("checkpoint", visible(str(path))),
        ("network", _network(metadata)),
        ("classes", ", ".join(names) + (f" and {more} more" if more else "")),
        ("normalization", f"mean {metadata.mean:g}, std {metadata.std:g}"),
        ("temperature", f"{metadata.temperature:g}"),
        ("dataset", visible(metadata.dataset)),
    ]
    if recipe is None:
        facts.append(("recipe", "none: imported weights"))
    else:
        facts += [
            ("recipe", _recipe(recipe)),
            ("epochs", f"{metadata.epochs} of {recipe.epochs}"),
            ("seed", str(metadata.seed)),
            ("device", visible(metadata.device)),
        ]
    if metadata.accuracies:
        last = metadata.accuracies[-1]
        facts += [
            ("training loss", fixed(last.loss, 4)),
            (f"{metadata.scored_on} accuracy", percent(last.accuracy)),
        ]
    versions = (f"{name} {version}" for name, version in sorted(metadata.versions.items()))
    facts += [
        ("versions", visible(", ".join(versions))),
        ("command", visible(_command(path, metadata))),
        *(
            ("checksum", visible(f"{name} {checksum}"))
            for name, checksum in sorted(metadata.data_checksums.items())
        ),
    ]
    return facts


def _command(path: Path, metadata: Metadata) -> str:
    """Returns the command that makes a checkpoint, with the option that writes it to its path.

    The file does not record its path: it can be moved, and equal runs make equal files.
    """
    is_default = resolve_links(path) == resolve_links(LATEST) or is_bundled(path)
    # the command of imported weights has the option
    if metadata.recipe is None or is_default or not metadata.command:
        return metadata.command
    return f"{metadata.command} --output {shlex.quote(str(path))}"


def _recipe(recipe: Recipe) -> str:
    """Returns a recipe's name and its most telling settings."""
    return visible(
        f"{recipe.name}  (batches of {recipe.batch_size}, {recipe.optimizer}, "
        f"learning rate {recipe.lr:g}, momentum {recipe.momentum:g}, {recipe.schedule})"
    )
