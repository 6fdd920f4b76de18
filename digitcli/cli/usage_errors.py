"""Messages for wrong usage, such as an unknown command or a number out of range."""

from typing import Any

import typer

from digitcli.core.errors import with_next_step

_PROBLEMS = {
    "int_parsing": "{input!r} is not a whole number",
    "int_from_float": "{input!r} is not a whole number",
    "float_parsing": "{input!r} is not a number",
    "greater_than_equal": "{input} is less than {ge:.10g}",
    "less_than_equal": "{input} is more than {le:.10g}",
}
"""Message for each type of error of Pydantic, which checks values for Typer."""


def usage_error(error: typer.TyperException) -> str:
    """Returns one line about an error that Typer found in the words of the command line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "digitcli"
    error.message = _value_problem(error.__cause__) or error.message
    problem = " ".join(error.format_message().split()).rstrip(".")
    next_step = f"see '{command} --help'"
    if command.endswith(" inspect-softmax") and "extra argument" in problem:
        next_step = "give scores as in --logits 2,1,0.1"
    return with_next_step(problem, next_step)


def _value_problem(cause: BaseException | None) -> str | None:
    """Returns what is wrong with a value; None if ``cause`` is not a known error of Pydantic."""
    details = getattr(cause, "errors", None)
    if not callable(details):
        return None
    (error, *others) = details()
    value = str(error["input"])
    # Pydantic parses nan as a number, beyond every limit
    kind = "float_parsing" if value.strip("+- ").lower() == "nan" else error["type"]
    if others or kind not in _PROBLEMS:
        return None
    limits: dict[str, Any] = error.get("ctx", {})
    problem = _PROBLEMS[kind].format(input=error["input"], **limits)
    # longer ones are no percentage, and int refuses those of thousands of digits
    if limits.get("le") == 1 and len(value) <= 3 and value.isdecimal() and int(value) <= 100:
        problem += f", write {value} % as {int(value) / 100:g}"
    return problem
