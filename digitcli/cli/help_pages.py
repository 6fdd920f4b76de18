"""Help pages: in boxes on a wide terminal, plain elsewhere, and without Python's types."""

import inspect
import re
import shutil
import sys
from itertools import pairwise
from typing import Any

from digitcli.cli.options import plain_examples
from digitcli.console.streams import is_terminal, line_breaks

_MIN_BOX_COLUMNS = 90
"""Minimum columns of a terminal for boxes: in a narrower one they cut names off."""


_INDENT = 2
"""Columns before and, in boxes, beside the lines of examples."""

_WORDS = re.compile(r"(?:--[\w-]+ +(?!-))?(?:'[^']*'|[^\s'])+(?: +|$)")
"""Words and the spaces after them; an option and its value, or a quoted text, count as one."""


def flowing(docstring: str | None) -> str:
    """Returns a docstring without the line breaks inside its paragraphs, which boxes would keep."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(docstring or ""))


def _continued(line: str, width: int) -> str:
    """Returns an example in lines of a width; the shell joins them at the backslashes."""
    if len(line) <= width:
        return line
    start, end = "    ", " \\"
    lines = line_breaks(line, width - len(start + end), _WORDS)
    parts = [line[i:j].rstrip(" ") for i, j in pairwise([0, *lines, len(line)])]
    return f"{end}\n{start}".join(parts)


def prepare_help(command: Any, context: Any) -> None:
    """Changes a command of Typer so that its help page suits standard output."""
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument" or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005  such as <list[str]>
    columns = shutil.get_terminal_size().columns
    if sys.stdout.isatty():
        lines = command.epilog.split("\n")
        command.epilog = "\n".join(_continued(line, columns - _INDENT) for line in lines)
    if not is_terminal(sys.stdout) or columns < _MIN_BOX_COLUMNS:
        command.rich_markup_mode = None  # which also saves the import of rich
        command.epilog = plain_examples(command.epilog)
