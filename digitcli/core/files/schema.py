"""JSON of unknown origin, parsed into dataclasses: every value's type and size is checked."""

import functools
import json
import math
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

_field_types = functools.cache(get_type_hints)

_MAX_TEXT = 10_000
"""Maximum length of a text in characters; the longest in use, a command line, has some hundred."""

_TYPE_NAMES: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def parse_json(text: str) -> Any:
    """Parses standard JSON; raises a ``ValueError``, also for too deep or too many digits."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def describe(value: Any) -> str:
    """Returns a short text for a JSON value of any size and depth, for messages."""
    if isinstance(value, dict | list):
        return _TYPE_NAMES[type(value)]
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def parse_record(values: Any, cls: type[_T], name: str) -> _T:
    """Builds a dataclass from a JSON object that holds exactly its fields.

    Args:
        values: Parsed JSON.
        cls: A dataclass with fields of types that ``parse_value`` supports.
        name: Name of the object in messages.

    Raises:
        TypeError: A field is missing, unknown or of another type.
        ValueError: A value is too large, or a text is not valid Unicode.
    """
    _check_type(values, dict, name)
    types = _field_types(cast("Any", cls))
    if unknown := sorted(values.keys() - types.keys()):
        raise TypeError(f"{name} holds an unknown entry {describe(unknown[0])}")
    if missing := sorted(types.keys() - values.keys()):
        raise TypeError(f"{name} lacks {missing[0]}")
    return cls(
        **{field: parse_value(values[field], type_, field) for field, type_ in types.items()}
    )


def parse_value(value: Any, type_: Any, name: str) -> Any:
    """Checks a JSON value against a type, and converts it.

    Args:
        value: Parsed JSON.
        type_: A plain type, tuple[X, ...], dict[str, X], a dataclass, or "type | None".
        name: Name of the value in messages.

    Raises:
        TypeError, ValueError: As ``parse_record``.
    """
    if is_dataclass(type_):
        return parse_record(value, cast("type[Any]", type_), name)
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is None:
        return _parse_scalar(value, type_, name)
    if origin is UnionType:
        return None if value is None else parse_value(value, arguments[0], name)
    item_name = f"an item of {name}"
    if origin is tuple:
        _check_type(value, list, name)
        return tuple(parse_value(item, arguments[0], item_name) for item in value)
    _check_type(value, dict, name)
    for key in value:
        _parse_scalar(key, str, f"a key of {name}")
    return {key: parse_value(item, arguments[1], item_name) for key, item in value.items()}


def _parse_scalar(value: Any, type_: type, name: str) -> Any:
    if type_ is float and type(value) is int and abs(value) < 2**63:
        value = float(value)  # JSON has one type of number
    _check_type(value, type_, name)
    if type_ is str:
        value.encode()  # raises a ValueError for a lone surrogate, which JSON can spell
        fits = len(value) <= _MAX_TEXT
    else:
        fits = math.isfinite(value) if type_ is float else abs(value) < 2**63
    if not fits:
        raise ValueError(f"{name} is too large: {describe(value)}")
    return value


def _check_type(value: Any, type_: type, name: str) -> None:
    if type(value) is not type_:  # isinstance would take True for a whole number
        raise TypeError(f"{name} is {describe(value)}, not {_TYPE_NAMES[type_]}")
