"""The kinds of fixtures that run commands, and a line that many commands print."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen

from typer.testing import Result

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.checkpointing.locate import LATEST

Run = Callable[..., Result]
Start = Callable[..., CompletedProcess[str]]
Launch = Callable[..., Popen[str]]


def weights_note(network: Checkpoint, path: Path = LATEST) -> str:
    """Returns the line on standard error of commands that use the weights of a network."""
    metadata = network.metadata
    accuracy = f"{metadata.scored_on} accuracy {metadata.accuracies[-1].accuracy:.2%}"
    worth = f"{metadata.dataset}, {metadata.epochs} epochs, {accuracy}"
    choice = ", not the bundled ones (--checkpoint pretrained)" if path == LATEST else ""
    return f"digitcli: using the weights {path} ({worth}){choice}\n"


def kill_after(process: "Popen[str]", lines: int) -> None:
    """Kills a command once it has written so many lines to standard output."""
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
