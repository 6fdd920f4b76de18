"""Says in plain words what is wrong with a number on the command line."""

from typing import Any

_PLAIN = {
    "int_parsing": "{input!r} is not a whole number",
    "int_from_float": "{input!r} is not a whole number",
    "float_parsing": "{input!r} is not a number",
    "greater_than_equal": "{input} is less than {ge:.10g}",
    "less_than_equal": "{input} is more than {le:.10g}",
}
"""What there is to say of each kind of fault that Pydantic knows, which checks values for Typer."""


def plain_problem(cause: BaseException | None) -> str | None:
    """Returns what is wrong with a value.

    Args:
        cause: What Typer was told by Pydantic; or something else, of which nothing is known here.

    Returns:
        The fault, and how a share is written if a percentage was; None where Typer's own words
        have to do.
    """
    details = getattr(cause, "errors", None)
    if not callable(details):
        return None
    (fault, *others) = details()
    value = str(fault["input"])
    # nan is a number to Pydantic, and beyond every limit
    kind = "float_parsing" if value.strip("+- ").lower() == "nan" else fault["type"]
    if others or kind not in _PLAIN:
        return None
    limits: dict[str, Any] = fault.get("ctx", {})
    problem = _PLAIN[kind].format(input=fault["input"], **limits)
    # longer ones are no percentage, and int refuses those of thousands of digits
    if limits.get("le") == 1 and len(value) <= 3 and value.isdecimal() and int(value) <= 100:
        problem += f", write {value} % as {int(value) / 100:g}"
    return problem
