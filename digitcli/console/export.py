"""Says what an export came to."""

import json
from pathlib import Path

from digitcli.console.streams import print_json, print_line
from digitcli.core.export.write import Exported
from digitcli.text import visible


def show_export(
    exported: Exported, path: Path, *, format_: str, checkpoint: Path, as_json: bool
) -> None:
    """Prints it.

    Args:
        exported: What it came to.
        path: The file that was written.
        format_: Its format.
        checkpoint: Where the weights come from.
        as_json: One JSON object in place of a line for people.
    """
    if as_json:
        print_json(
            {
                "path": str(path),
                "format": format_,
                "bytes": exported.bytes,
                "checked": exported.checked,
                "difference": exported.difference,
                "notes": {**exported.notes, "classes": json.loads(exported.notes["classes"])},
                "checkpoint": str(checkpoint),
            }
        )
    else:
        print_line(
            f"wrote {visible(str(path))}  ({format_}, {exported.bytes:,} bytes; within "
            f"{exported.difference:.0e} of digitcli on {exported.checked:,} pictures)"
        )
