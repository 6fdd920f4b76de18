"""The command line as a whole: the subcommands, and how every one of them ends."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from digitcli._version import __version__
from digitcli.cli import download, evaluate, export, inspect_softmax, predict
from digitcli.cli.options import examples, plain_examples
from digitcli.cli.train import command as train
from digitcli.cli.usage_errors import plain_problem
from digitcli.console.streams import is_terminal, unwritable_output
from digitcli.core.errors import DigitcliError, StoppedError

INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13
"""Shells report a program ended by signal N as 128 + N; SIGINT is 2 and SIGPIPE 13."""


class _OneLineFaults(TyperGroup):
    """Ends every command with its exit code, and tells an expected fault in one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Shows the help where no command is named, which is a wrong use all the same."""
        if not args and not ctx.resilient_parsing:
            if text := ctx.get_help():  # rich prints by itself
                typer.echo(text)
            raise typer.Exit(2)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; a reader of our output who has gone away is no fault of ours."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return BROKEN_PIPE

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  Typer's own, and always on here
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Runs the command line and exits."""
        _mend_streams()
        if not is_terminal(sys.stdout):
            self._help_in_plain_lines()
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except StoppedError as stopped:
            _tell_stop(stopped)
        except DigitcliError as error:
            code = _fail(error, error.exit_code)
        except typer.TyperException as error:
            code = _fail_usage(error)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            code = _fail(unwritable_output(error), 2)  # our own files tell this by themselves
        if code == INTERRUPTED:
            _fail("interrupted", INTERRUPTED)
        try:
            sys.stdout.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                code = BROKEN_PIPE
            elif code in (None, 0):
                code = _fail(unwritable_output(error), 2)
            # What is still buffered has nowhere to go; the interpreter must not try at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)

    def _help_in_plain_lines(self) -> None:
        """Has no boxes drawn around what goes to a pipe; rich is not imported for it either."""
        commands: list[Any] = [self, *self.commands.values()]
        for command in commands:
            command.rich_markup_mode = None
            command.epilog = plain_examples(command.epilog)


def _mend_streams() -> None:
    """Makes the standard streams fit to write any text to, or to find closed ones empty."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the shell, as by >&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123  for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: Exception | str, code: int) -> int:
    from digitcli.console.errors import print_error

    print_error(error)
    return code


def _tell_stop(stopped: StoppedError) -> NoReturn:
    """Ends as the signal had it; that is no fault, and the user wants to know how to go on."""
    from digitcli.console.streams import print_note
    from digitcli.text import visible

    print_note(visible(str(stopped)))
    sys.exit(stopped.exit_code)


def _fail_usage(error: typer.TyperException) -> int:
    """Tells what Typer found wrong with the words of the command line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "digitcli"
    plain = plain_problem(error.__cause__)
    if plain is not None:
        error.message = plain
    problem = " ".join(error.format_message().split()).rstrip(".")
    return _fail(f"{problem}; see '{command} --help'", error.exit_code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"digitcli {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_OneLineFaults,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "digitcli train --dataset optdigits",
        "digitcli eval",
        "digitcli predict digit.png",
        "digitcli inspect-softmax --logits 2,1,0.1 --classes cat,dog,person --target cat",
    ),
)


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Train, measure, use and explain a handwritten-digit classifier."""


app.command("download", short_help="Download a data set, and check it.", epilog=download.EXAMPLES)(
    download.download
)
app.command(
    "train", short_help="Train the five-layer network of the lesson.", epilog=train.EXAMPLES
)(train.train)
app.command(
    "eval",
    short_help="Measure a checkpoint: loss, accuracy, and each class.",
    epilog=evaluate.EXAMPLES,
)(evaluate.evaluate)
app.command(
    "predict", short_help="Read the handwritten digits in pictures.", epilog=predict.EXAMPLES
)(predict.predict)
app.command(
    "inspect-softmax",
    short_help="Show softmax and cross-entropy step by step.",
    epilog=inspect_softmax.EXAMPLES,
)(inspect_softmax.inspect_softmax)
app.command(
    "export",
    short_help="Write the network for other programs: ONNX or NumPy.",
    epilog=export.EXAMPLES,
)(export.export)
