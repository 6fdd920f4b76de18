"""``digitcli export``: write the network for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from digitcli.cli.options import CheckpointFile, Json, examples, file

EXAMPLES = examples(
    "digitcli export digits.onnx",
    "digitcli export page.html",
    "digitcli export digits.pt2 --checkpoint fast.safetensors",
    "digitcli export --format npz weights.bin",
    "digitcli export digits.npz --json | jq .difference",
)


def _format_names() -> list[str]:
    from digitcli.core.export.formats import FORMATS

    return list(FORMATS)


def export(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", parser=file, show_default=False, help="The file to write."),
    ],
    *,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            autocompletion=_format_names,
            show_default="OUT's ending",
            help="onnx (needs the extra onnx), pt2 for torch, npz for NumPy, or html to draw on.",
        ),
    ] = None,
    checkpoint: CheckpointFile = None,
    json: Json = False,
) -> None:
    """Write the network for other programs: 28x28 bytes in, probabilities out.

    The file includes normalization and temperature, and takes batches of any
    size. It is written only if its probabilities for 1,000 generated images
    differ from digitcli's by at most 0.00001.

    OUT.html is a page to draw on, which reads the digit as predict does, in any
    browser, offline.

    For the other formats, images must be in MNIST's form: light ink on black,
    the digit fitted into 20x20 pixels and centered by mass.
    """
    from digitcli.core.export.formats import choose_format

    chosen = choose_format(format_, out)

    from digitcli.console.export import show_export
    from digitcli.console.streams import print_note, print_weights
    from digitcli.core.checkpointing.checkpoint import find_and_load
    from digitcli.core.errors import DigitcliError
    from digitcli.core.export import write
    from digitcli.core.files.atomic import resolve_links
    from digitcli.text import visible

    path, loaded = find_and_load(checkpoint)
    if resolve_links(out) == resolve_links(path):
        raise DigitcliError(f"{out} is the checkpoint itself", "give the export another name")
    print_weights(path, loaded.metadata)
    if out.exists():
        print_note(f"{visible(str(out))} will be replaced")
    result = write.export(loaded, chosen, out)
    show_export(result, out, format_=chosen, checkpoint=path, as_json=json)
