"""Exporting a network: packed, verified, and only then written."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from digitcli.core.checkpointing.checkpoint import Checkpoint
from digitcli.core.errors import DigitcliError
from digitcli.core.export.folding import fold, make_notes
from digitcli.core.export.formats import FORMATS
from digitcli.core.export.verify import COUNT, TOLERANCE, max_difference
from digitcli.core.files.atomic import check_writable, write_atomically, write_errors


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        bytes: Size of the file.
        checked: Number of images that the file was compared with digitcli on.
        difference: Maximum difference of a probability on them.
        notes: Notes in the file.
    """

    bytes: int
    checked: int
    difference: float
    notes: Mapping[str, str]


def export(checkpoint: Checkpoint, format_: str, path: Path) -> ExportResult:
    """Writes a network with its normalization and temperature: bytes in, probabilities out.

    Before the file is written, its content is read back as its users read it, and compared with
    digitcli's own probabilities.

    Args:
        checkpoint: The network.
        format_: One of ``FORMATS``.
        path: The file to be written.

    Raises:
        DigitcliError: A library is missing, the probabilities differ, or the file cannot be
            written; an old file is untouched.
    """
    module = import_module(FORMATS[format_])
    with write_errors(path, "choose another place"):
        check_writable(path)
        notes = make_notes(checkpoint)
        content = module.pack(fold(checkpoint), notes)
        difference = max_difference(module.unpack(content), checkpoint)
        if not difference <= TOLERANCE:
            raise DigitcliError(
                f"{path} is not written: the exported network's probabilities are off by "
                f"{difference:.1e}",
                "upgrade the library that runs this format, or choose another format",
                exit_code=1,
            )
        write_atomically(path, lambda file: file.write(content))
    return ExportResult(len(content), COUNT, difference, notes)
