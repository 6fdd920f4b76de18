"""The export formats, and the choice of one; apart from their modules, which are slow to import.

To add a format, write a module with ``pack`` and ``unpack`` like ``npz``, list it in ``FORMATS``,
and name it in the help of ``cli/export.py``.
"""

from pathlib import Path

from digitcli.core.errors import DigitcliError

FORMATS = {
    "onnx": "digitcli.core.export.onnx_file",
    "pt2": "digitcli.core.export.pt2",
    "npz": "digitcli.core.export.npz",
    "html": "digitcli.report.draw",  # beside the other pages, above core, which knows its name only
}
"""Module of each format, by the format's name, which is also the ending of its files."""

_CHOICES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))


def choose_format(name: str | None, path: Path) -> str:
    """Returns the format of the file to be written: ``name``, or else the file's ending.

    Raises:
        DigitcliError: There is no such format, the ending is not a format, or the two differ.
    """
    ending = path.suffix[1:].lower()
    if name is None and ending not in FORMATS:
        raise DigitcliError(
            f"the name {path.name} does not end in a format", f"give --format {_CHOICES}"
        )
    if name is not None and name not in FORMATS:
        raise DigitcliError(f"there is no format {name!r}", f"choose {_CHOICES}")
    if name is not None and ending in FORMATS and ending != name:
        raise DigitcliError(
            f"--format {name} and the name {path.name} contradict each other",
            "leave --format out, or rename the file",
        )
    return name or ending
