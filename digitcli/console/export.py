"""Output of ``digitcli export``."""

import json
import math
from pathlib import Path

from digitcli.console.streams import print_json, print_text
from digitcli.core.export.write import ExportResult
from digitcli.text import visible


def show_export(
    result: ExportResult, path: Path, *, format_: str, checkpoint: Path, as_json: bool
) -> None:
    """Prints the result of an export, as a JSON object or as a line of text."""
    if as_json:
        notes = {**result.notes, "classes": json.loads(result.notes["classes"])}
        values = {"path": str(path), "format": format_, **vars(result), "notes": notes}
        print_json({**values, "checkpoint": str(checkpoint)})
    else:
        print_text(
            f"wrote {visible(str(path))}  ({format_}, {result.bytes:,} bytes; within "
            f"{_rounded_up(result.difference):.0e} of digitcli on {result.checked:,} images)"
        )


def _rounded_up(value: float) -> float:
    """Returns the least number with one significant digit that is not below a positive one."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / unit) * unit
