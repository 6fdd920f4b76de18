"""JSON from strangers, and records made of it: every value has a type, a size and a name."""

import functools
import json
import math
from collections.abc import Hashable
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def parse_json(text: str) -> Any:
    """Reads JSON from a stranger.

    Raises:
        ValueError: It is no JSON as its standard has it, is nested too deep, or holds a number
            that is too long.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def describe(value: Any) -> str:
    """Names a value of JSON in a message, whatever its size and its depth."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


_LONGEST_TEXT = 10_000
"""Characters; the longest there is, a command line, has some hundred."""

_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def parse_record(values: Any, kind: type[_T], name: str) -> _T:
    """Builds a dataclass from a JSON object that holds its fields and nothing else.

    Args:
        values: What JSON was read to.
        kind: A dataclass of plain types, tuples of one type, dictionaries, and other such records.
        name: What it is called in messages.

    Raises:
        TypeError: Something is missing, unknown or of another type.
        ValueError: Something is too large, or a text is none.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{name} is {describe(values)}, not an object")
    types = _types_of(cast("Hashable", kind))
    if unknown := sorted(values.keys() - types.keys()):
        raise TypeError(f"{name} holds an unknown entry {describe(unknown[0])}")
    if missing := sorted(types.keys() - values.keys()):
        raise TypeError(f"{name} lacks {missing[0]}")
    return kind(
        **{field: parse_value(values[field], type_, field) for field, type_ in types.items()}
    )


@functools.cache
def _types_of(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def parse_value(value: Any, type_: Any, name: str) -> Any:
    """Reads a value of the type of a field: plain, a record, or a tuple or dictionary of such.

    Args:
        value: What JSON was read to.
        type_: The type, or "a type or None".
        name: What it is called in messages.

    Raises:
        TypeError: It is of another type.
        ValueError: It is too large, or a text is none.
    """
    if is_dataclass(type_):
        return parse_record(value, cast("type[Any]", type_), name)
    of = get_args(type_)
    if get_origin(type_) is UnionType:
        return None if value is None else parse_value(value, of[0], name)
    if get_origin(type_) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{name} is {describe(value)}, not a list")
        return tuple(parse_value(item, of[0], f"an item of {name}") for item in value)
    if get_origin(type_) is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{name} is {describe(value)}, not an object")
        return {
            _typed(key, of[0], f"a key of {name}"): parse_value(item, of[1], f"an item of {name}")
            for key, item in value.items()
        }
    return _typed(value, type_, name)


def _typed(value: Any, kind: type, name: str) -> Any:
    if kind is float and type(value) is int and abs(value) < 2**63:
        value = float(value)  # JSON has one kind of number
    given = type(value)  # and no other that it is a kind of, as True is of a whole number
    if given is not kind:
        raise TypeError(f"{name} is {describe(value)}, not {_KINDS[kind]}")
    if kind is str:
        value.encode()  # half a character, as JSON can spell it, raises a ValueError
        fits = len(value) <= _LONGEST_TEXT
    elif kind is float:
        fits = math.isfinite(value)
    else:
        fits = abs(value) < 2**63
    if not fits:
        raise ValueError(f"{name} is too large: {describe(value)}")
    return value
