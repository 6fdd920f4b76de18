"""``--install-completion`` and ``--show-completion``: Typer's, with errors of one line."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import typer

from digitcli.console.streams import print_line
from digitcli.core.errors import DigitcliError, error_reason

OPTIONS = ("--install-completion", "--show-completion")


@contextmanager
def completion(option: str, others: list[str]) -> Iterator[None]:
    """Runs Typer's callback of one of ``OPTIONS`` in the block, which exits if it succeeds.

    Args:
        option: The option.
        others: The words after it, which Typer would ignore.

    Raises:
        DigitcliError: There are words, the shell is unknown, or the user's files cannot be written.
    """
    if others:
        problem = f"{option} is for the shell that it is typed in, and takes no {others[0]!r}"
        raise DigitcliError(problem, "type it alone, in the shell to complete digitcli in")
    output = io.StringIO()
    try:
        with redirect_stdout(output):
            yield
    except SystemExit:
        print_line(output.getvalue().rstrip("\n"))
        raise
    except typer.Exit:
        problem = f"{option} does not know the shell that it is typed in"
        raise DigitcliError(problem, "type it in bash, zsh, fish or PowerShell") from None
    except (OSError, ValueError, RuntimeError) as error:  # files, their encoding, no home folder
        reason = error_reason(error) if isinstance(error, OSError | ValueError) else str(error)
        place = f" {error.filename}" if isinstance(error, OSError) and error.filename else ""
        raise DigitcliError(
            f"completion cannot be installed: cannot write{place}: {reason}",
            "'digitcli --show-completion' prints the script, to be put where you want it",
        ) from error
