"""Commands whose work the processes of torchrun share."""

import functools
from collections.abc import Callable
from typing import ParamSpec

_Options = ParamSpec("_Options")


def together(command: Callable[_Options, int]) -> Callable[_Options, int]:
    """Has the first process run a command, and the others help it where it shares its work."""

    @functools.wraps(command)
    def run(*args: _Options.args, **kwargs: _Options.kwargs) -> int:
        from digitcli.core.errors import OthersGoneError
        from digitcli.core.fleet import join_fleet, own_fleet

        try:
            with join_fleet() as fleet:
                if not fleet.is_first:
                    return fleet.help()
                code = command(*args, **kwargs)
                fleet.end(code)
                return code
        except OthersGoneError as gone:
            if own_fleet().is_first:
                raise
            return gone.exit_code  # what the first one ended for, that tells itself

    return run
