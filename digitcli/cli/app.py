"""The command line: its subcommands, and how each of them ends."""

import contextlib
import errno
import io
import os
import re
import shlex
import sys
import time
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from digitcli._version import __version__
from digitcli.cli import (
    completion,
    download,
    evaluate,
    export,
    import_weights,
    info,
    inspect_softmax,
    predict,
)
from digitcli.cli.help_pages import flowing, prepare_help
from digitcli.cli.options import examples
from digitcli.cli.train import command as train
from digitcli.cli.usage_errors import usage_error
from digitcli.console.streams import (
    is_first_process,
    print_error,
    print_note,
    unwritable_output,
)
from digitcli.core.errors import DigitcliError, StoppedError
from digitcli.text import visible

USAGE_ERROR = 2
INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13
"""Shells report a program ended by signal N as 128 + N; SIGINT is 2 and SIGPIPE 13."""

_AFTER_FIRST = 30.0
"""Seconds that other ranks wait before they print an error; torch takes some to end rank 0."""

_PICTURE = re.compile(r"[/\\]|\w\.\w{2,5}$")
"""Words that are paths, addresses or names of files."""


class Command(TyperCommand):
    """A subcommand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words after the subcommand; errors in them name its help page."""
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", ctx) is None:  # such as an option without its value
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help page."""
        prepare_help(self, ctx)
        super().format_help(ctx, formatter)


_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Errors of a stream that cannot be written: a full disk, or a terminal that was closed."""


class _ReaderGoneError(Exception):
    """The reader of a pipe has gone away; Typer would end a ``BrokenPipeError`` with 1."""


class CommandGroup(TyperGroup):
    """The subcommands, and the one place that decides the exit code and message of each.

    0: success. 1: returned by the command, as by ``eval --min-accuracy``, or the exit code of a
    ``DigitcliError``. 2: wrong usage, any other ``DigitcliError``, a full disk. 128 + a signal:
    stopped by it (``StoppedError``), interrupted, or a broken pipe. Errors are one line on
    standard error; any other exception is a bug and keeps its traceback.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Prints the help if there is no subcommand, which is a usage error all the same."""
        if not args and not ctx.resilient_parsing:
            if text := ctx.get_help():  # empty if rich has printed it
                typer.echo(text)
            raise typer.Exit(USAGE_ERROR)
        if args and args[0] in completion.OPTIONS:
            with completion.completion(args[0], args[1:]):
                return super().parse_args(ctx, args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help page."""
        prepare_help(self, ctx)
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns the subcommand; a picture in its place is no typing error of one."""
        name = args[0]
        if name not in self.commands and (os.path.lexists(name) or _PICTURE.search(name)):
            command = shlex.join(["digitcli", "predict", name])
            raise DigitcliError(f"there is no command {name}", f"read an image with '{command}'")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parses the options before the subcommand, which may print the help or the version."""
        try:
            return super().make_context(*args, **options)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def invoke(self, ctx: Any) -> Any:
        """Runs the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Runs the command line and exits."""
        _prepare_streams()
        try:
            # without this, Typer prints errors and exits by its own rules
            code = super().main(*args, **options | {"standalone_mode": False})
        except StoppedError as stopped:  # not an error; the message is how to resume
            if is_first_process():
                print_note(visible(str(stopped)))
            sys.exit(stopped.exit_code)
        except DigitcliError as error:
            code = _fail(error, error.exit_code)
        except typer.TyperException as error:
            code = _fail(usage_error(error), error.exit_code)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except _ReaderGoneError:
            code = BROKEN_PIPE
        except OSError as error:
            if error.errno not in _WRITE_ERRORS or error.filename is not None:
                raise
            # errors of writing files are DigitcliError, so this is standard output
            code = _fail(unwritable_output(error), USAGE_ERROR)
        if code == INTERRUPTED:
            _fail("interrupted", INTERRUPTED)
        sys.exit(_flush(code))


def _prepare_streams() -> None:
    """Replaces closed standard streams by empty ones, and lets the others write any text."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the shell, as by >&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123  for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    columns = os.environ.get("COLUMNS", "")
    if not columns.isdecimal() or not int(columns):
        os.environ.pop("COLUMNS", None)  # with 0, rich prints nothing


def _flush(code: int | None) -> int | None:
    """Flushes standard output, and returns ``code`` or that of the error in flushing."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # The rest of the buffer cannot be written; the interpreter must not try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        if code in (None, 0):
            return _fail(unwritable_output(error), USAGE_ERROR)
    return code


def _fail(error: Exception | str, code: int) -> int:
    """Prints an error; if rank 0 has it too, torchrun ends the other processes while they wait."""
    if not is_first_process() and "TORCHELASTIC_RUN_ID" in os.environ:  # set by torchrun
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(_AFTER_FIRST)
    print_error(error)
    return code


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"digitcli {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=CommandGroup,
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


for _name, _module, _command, _help in (
    ("download", download, download.download, "Download a data set, and check it."),
    ("train", train, train.train, "Train the five-layer network of the lesson."),
    ("eval", evaluate, evaluate.evaluate, "Measure a checkpoint: loss, accuracy, and each class."),
    ("predict", predict, predict.predict, "Read the handwritten digits in images."),
    (
        *("inspect-softmax", inspect_softmax, inspect_softmax.inspect_softmax),
        "Show softmax and cross-entropy step by step.",
    ),
    (
        "export",
        export,
        export.export,
        "Export the network: ONNX, PyTorch, NumPy or HTML.",
    ),
    (
        *("import", import_weights, import_weights.import_weights),
        "Import weights: PyTorch, safetensors or NumPy.",
    ),
    ("info", info, info.info, "Show a checkpoint: layers, classes, training."),
):
    app.command(
        _name,
        cls=Command,
        short_help=_help,
        help=flowing(_command.__doc__),
        epilog=_module.EXAMPLES,
    )(_command)
