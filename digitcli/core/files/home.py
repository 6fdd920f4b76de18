"""Names that begin with ``~``, in options and variables that no shell has expanded."""

import os

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
