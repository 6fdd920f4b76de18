"""JSON of unknown origin, parsed into dataclasses: every value's type and size is checked."""

import functools
import json
import math
from collections.abc import Hashable
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

_MAX_TEXT = 10_000
"""Maximum length of a text in characters; the longest in use, a command line, has some hundred."""

_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def parse_json(text: str) -> Any:
    """Parses JSON.

    Raises:
        ValueError: The text is not standard JSON, is nested too deep, or holds a number with too
            many digits.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def describe(value: Any) -> str:
    """Returns a short text for a JSON value of any size and depth, for messages."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def parse_record(values: Any, cls: type[_T], name: str) -> _T:
    """Builds a dataclass from a JSON object that holds exactly its fields.

    Args:
        values: Parsed JSON.
        cls: A dataclass of plain types, tuples of one type, dictionaries and such dataclasses.
        name: Name of the object in messages.

    Raises:
        TypeError: A field is missing, unknown or of another type.
        ValueError: A value is too large, or a text is not valid Unicode.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{name} is {describe(values)}, not an object")
    types = _field_types(cast("Hashable", cls))
    if unknown := sorted(values.keys() - types.keys()):
        raise TypeError(f"{name} holds an unknown entry {describe(unknown[0])}")
    if missing := sorted(types.keys() - values.keys()):
        raise TypeError(f"{name} lacks {missing[0]}")
    return cls(
        **{field: parse_value(values[field], type_, field) for field, type_ in types.items()}
    )


@functools.cache
def _field_types(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cls)


def parse_value(value: Any, type_: Any, name: str) -> Any:
    """Checks a JSON value against a field's type, and converts lists and objects to that type.

    Args:
        value: Parsed JSON.
        type_: A type that ``parse_record`` supports for a field, or "type | None".
        name: Name of the value in messages.

    Raises:
        TypeError: The value is of another type.
        ValueError: The value is too large, or a text is not valid Unicode.
    """
    if is_dataclass(type_):
        return parse_record(value, cast("type[Any]", type_), name)
    arguments = get_args(type_)
    if get_origin(type_) is UnionType:
        return None if value is None else parse_value(value, arguments[0], name)
    if get_origin(type_) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{name} is {describe(value)}, not a list")
        return tuple(parse_value(item, arguments[0], f"an item of {name}") for item in value)
    if get_origin(type_) is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{name} is {describe(value)}, not an object")
        key_type, item_type = arguments
        return {
            _parse_scalar(key, key_type, f"a key of {name}"): parse_value(
                item, item_type, f"an item of {name}"
            )
            for key, item in value.items()
        }
    return _parse_scalar(value, type_, name)


def _parse_scalar(value: Any, type_: type, name: str) -> Any:
    if type_ is float and type(value) is int and abs(value) < 2**63:
        value = float(value)  # JSON has one type of number
    given = type(value)  # isinstance would take True for a whole number
    if given is not type_:
        raise TypeError(f"{name} is {describe(value)}, not {_TYPE_NAMES[type_]}")
    if type_ is str:
        value.encode()  # raises a ValueError for a lone surrogate, which JSON can spell
        fits = len(value) <= _MAX_TEXT
    elif type_ is float:
        fits = math.isfinite(value)
    else:
        fits = abs(value) < 2**63
    if not fits:
        raise ValueError(f"{name} is too large: {describe(value)}")
    return value
