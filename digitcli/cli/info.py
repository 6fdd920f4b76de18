"""``digitcli info``: show what a checkpoint records about itself."""

from typing import Annotated

import typer

from digitcli.cli.options import Json, checkpoint_names, examples, file_name
from digitcli.core.checkpointing.locate import CHECKPOINT_VARIABLE, LATEST, PRETRAINED

EXAMPLES = examples(
    "digitcli info",
    "digitcli info pretrained",
    "digitcli info fast.safetensors --json | jq .command",
)


def info(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECKPOINT",
            parser=file_name,
            autocompletion=checkpoint_names,
            envvar=CHECKPOINT_VARIABLE,
            show_default=f"{LATEST} if there, else {PRETRAINED}",
            help=f"Checkpoint to show; '{PRETRAINED}' names the bundled weights.",
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Show a checkpoint: layers, classes, training, accuracy, versions."""
    from digitcli.console.checkpoint import show_checkpoint
    from digitcli.core.checkpointing.checkpoint import find_and_load

    path, loaded = find_and_load(checkpoint)
    show_checkpoint(path, loaded.metadata, as_json=json)
