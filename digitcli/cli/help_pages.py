"""Help pages: in boxes on a wide terminal, plain elsewhere, and without Python's types."""

import inspect
import re
import shutil
import sys
from typing import Any

from digitcli.cli.options import plain_examples
from digitcli.console.streams import is_terminal

_MIN_BOX_COLUMNS = 90
"""Minimum columns of a terminal for boxes: in a narrower one they cut names off."""


def flowing(docstring: str | None) -> str:
    """Returns a docstring without the line breaks inside its paragraphs, which boxes would keep."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(docstring or ""))


def prepare_help(command: Any, context: Any) -> None:
    """Changes a command of Typer so that its help page suits standard output."""
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument" or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005  such as <list[str]>
    if not is_terminal(sys.stdout) or shutil.get_terminal_size().columns < _MIN_BOX_COLUMNS:
        command.rich_markup_mode = None  # which also saves the import of rich
        command.epilog = plain_examples(command.epilog)
