"""Paths as users give them: ``~`` that no shell has expanded, and paths to record in files."""

import os
from pathlib import Path

from digitcli.core.errors import DigitcliError


def expand_home(name: str) -> str:
    """Replaces ``~`` and ``~user`` at the start of a name, as shells do; not in ``./~``.

    Raises:
        DigitcliError: There is no such user, or no home folder.
    """
    expanded = os.path.expanduser(name)  # noqa: PTH111  Path's drops the "./" of "./-"
    if expanded.startswith("~"):
        problem = f"there is no home folder for {name}"
        raise DigitcliError(problem, f"write ./{name} if its name begins with ~")
    return expanded


def portable_path(name: str) -> str:
    """Returns a path to record in a file that may be shared: it names no folder of this computer.

    A relative path, and one that begins with ``~/``, stay as they are. An absolute path below the
    current folder becomes relative to it; of any other only the last part is left.
    """
    if not Path(name).is_absolute() and (
        not name.startswith("~") or name[1:2] in ("", "/", os.sep)
    ):
        return name
    try:
        return str(Path(name).relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the current folder was deleted
        return Path(name).name or name
