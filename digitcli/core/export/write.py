"""Exporting a network: built, checked, and only then written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from digitcli.core.checkpointing.checkpoint import Checkpoint, Weights
from digitcli.core.errors import DigitcliError, error_reason
from digitcli.core.export.folding import folded, notes
from digitcli.core.export.verify import COUNT, TOLERANCE, Run, largest_difference
from digitcli.core.files.atomic import check_writable, write_atomically


@dataclass(frozen=True)
class Exported:
    """What an export came to.

    Attributes:
        bytes: Size of the file.
        checked: Pictures that it was compared with digitcli on.
        difference: The largest of a probability there.
        notes: What the file says of itself.
    """

    bytes: int
    checked: int
    difference: float
    notes: Mapping[str, str]


def export(checkpoint: Checkpoint, format_: str, path: Path) -> Exported:
    """Writes a network with its normalisation and temperature: bytes in, probabilities out.

    The content is read back as a user of the file would and compared with digitcli's own answers
    first: at ``path`` is what was there before, or a file that is whole and right.

    Args:
        checkpoint: The network.
        format_: One of ``FORMATS``.
        path: The file to be written.

    Raises:
        DigitcliError: A library is missing, the answers differ, or the file cannot be written.
    """
    pack, unpack = _tools(format_)
    try:
        check_writable(path)
        told = notes(checkpoint)
        content = pack(folded(checkpoint), told)
        difference = largest_difference(unpack(content), checkpoint)
        if not difference <= TOLERANCE:
            raise DigitcliError(
                f"the exported network's probabilities are off by {difference:.1e}, so {path} is "
                "not written",
                "upgrade the library that runs this format, or choose another",
                exit_code=1,
            )
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise DigitcliError(
            f"cannot write {path}: {error_reason(error)}", "choose another place"
        ) from error
    return Exported(len(content), COUNT, difference, told)


def _tools(
    format_: str,
) -> tuple[Callable[[Weights, Mapping[str, str]], bytes], Callable[[bytes], Run]]:
    """Imports what writes a format, and what reads it."""
    if format_ == "npz":
        from digitcli.core.export import npz

        return npz.pack, npz.unpack
    if format_ == "pt2":
        from digitcli.core.export import pt2

        return pt2.pack, pt2.unpack
    try:
        from digitcli.core.export import onnx_file
    except ImportError as error:
        raise DigitcliError(
            f"ONNX files are made with onnx and onnxruntime, and {error.name} cannot be imported",
            "run pip install 'digitcli[onnx]'",
        ) from error
    return onnx_file.pack, onnx_file.unpack
