"""Which formats there are; apart from what writes them, which takes time to import."""

from pathlib import Path

from digitcli.core.errors import DigitcliError

FORMATS = ("onnx", "pt2", "npz")
"""Names of the formats, which are also the endings of their files."""


def choose_format(name: str | None, path: Path) -> str:
    """Decides on a format by its name and the file's ending.

    Args:
        name: The user's choice; None to go by the ending alone.
        path: The file to be written.

    Raises:
        DigitcliError: There is no such format, the ending says nothing, or the two contradict.
    """
    ending = path.suffix[1:].lower()
    if name is None and ending not in FORMATS:
        raise DigitcliError(
            f"the name {path.name} says no format", "give --format onnx, pt2 or npz"
        )
    if name is not None and name not in FORMATS:
        raise DigitcliError(f"there is no format {name!r}", "choose onnx, pt2 or npz")
    if name is not None and ending in FORMATS and ending != name:
        raise DigitcliError(
            f"--format {name} and the name {path.name} contradict each other",
            "leave --format out, or give the file another name",
        )
    return name or ending
