"""The file that a new checkpoint replaces: finished weights are copied before that."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_checkpoint
from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.errors import CheckpointError, error_reason
from digitcli.core.files.atomic import check_writable, resolve_links, write_atomically, write_errors

KEPT_ENDING = ".previous.safetensors"

_ELSEWHERE = "choose another place with --output"


@dataclass(frozen=True)
class Replaced:
    """A file that a checkpoint will replace."""

    path: Path
    checkpoint: Checkpoint | None  # None if the file is not a valid one

    @property
    def metadata(self) -> Metadata | None:
        """The metadata of a valid checkpoint, else None."""
        return None if self.checkpoint is None else self.checkpoint.metadata

    @property
    def kept(self) -> Path | None:
        """``NAME.previous.safetensors`` beside the file; None for weights of an unfinished run."""
        known = self.metadata
        if known is not None and known.recipe is not None and known.epochs < known.recipe.epochs:
            return None
        return self.path.with_name(self.path.name.removesuffix(".safetensors") + KEPT_ENDING)

    def check(self) -> None:
        """Checks before long work that ``keep`` can copy the file.

        Raises:
            CheckpointError: The file cannot be read, or the copy cannot be written or would be the
                file itself.
        """
        if (kept := self.kept) is None:
            return
        if resolve_links(kept) == resolve_links(self.path):
            problem = f"{self.path} cannot be kept as {kept}: both are the same file"
            raise CheckpointError(problem, _ELSEWHERE)
        _open(self.path).close()
        with write_errors(kept, _ELSEWHERE, CheckpointError):
            check_writable(kept)

    def keep(self) -> None:
        """Copies the file, with its permissions, to ``kept``, unless that is None.

        Raises:
            CheckpointError: The file cannot be read, or the copy cannot be written.
        """
        if (kept := self.kept) is None:
            return
        with _open(self.path) as old, write_errors(kept, _ELSEWHERE, CheckpointError):
            write_atomically(
                kept, lambda file: shutil.copyfileobj(old, file), permissions_of=self.path
            )


def find_replaced(output: Path) -> Replaced | None:
    """Returns the file that a checkpoint written to ``output`` will replace, if there is one."""
    if not output.is_file():
        return None
    try:
        return Replaced(output, load_checkpoint(output))
    except CheckpointError:
        return Replaced(output, None)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error_reason(error)}", _ELSEWHERE) from error
