"""What a checkpoint says of itself: one JSON document, checked when it is read."""

import functools
import json
import math
import sys
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from digitcli.core.errors import CheckpointError, DigitcliError
from digitcli.core.recipes import TEMPERATURES, Deformation, Recipe

FORMAT_VERSION = 2
INPUTS = 28 * 28
HIDDEN = (512, 256, 128, 64)
"""Widths of the lesson's hidden layers."""

MOST_CLASSES = 100
"""More than digits and letters make, and few enough for every table to hold them all."""

_LARGEST_MEAN = 1e6
"""What normalisation may take away and, or one over it, divide by: float32 holds what comes of it,
whose pixels are of 0 to 1."""

MOST_READINGS = 100_000
"""Readings of the loss and epochs of a run; they take 7 of the 8 MiB that a header may have."""

LONGEST_CLASS = 40
"""Characters of a class's name."""

TRAIN_AGAIN = "choose another with --checkpoint, or train a new one with 'digitcli train'"

_T = TypeVar("_T")


def layer_sizes(classes: int) -> tuple[int, ...]:
    """Returns the widths of the network from input to output for a number of classes."""
    return (INPUTS, *HIDDEN, classes)


@dataclass(frozen=True)
class LossPoint:
    """The mean loss over the batches since the last point of an epoch (both count from 1)."""

    epoch: int
    batch: int
    loss: float


@dataclass(frozen=True)
class EpochPoint:
    """What an epoch came to: mean loss of its batches, and accuracy in 0..1 on unseen pictures."""

    epoch: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Metadata:
    """What a checkpoint says of itself.

    Attributes:
        layer_sizes: Widths from input to output.
        classes: Class names in the order of the outputs.
        mean: Subtracted from pixels in 0..1 before the network sees them.
        std: What the difference is divided by.
        dataset: Name of the data set trained on.
        recipe: How it was trained.
        epochs: Epochs done when the file was written.
        seed: Seed of the initial weights and of all else that was drawn at random.
        device: Type of the device trained on, "cpu" for one.
        losses: The running losses.
        accuracies: A point per epoch.
        scored_on: What the accuracies are of: "test", or "validation" for pictures held out of the
            training set.
        temperature: What the scores are divided by before softmax, within ``TEMPERATURES``.
        command: The command line that trains such a checkpoint; "" where there was none.
        data_checksums: Checksums of the data read, by file, as "md5:..." or "sha256:...".
        versions: Versions of digitcli, torch, NumPy and Python.
        format_version: Version of this format.
    """

    layer_sizes: tuple[int, ...]
    classes: tuple[str, ...]
    mean: float
    std: float
    dataset: str
    recipe: Recipe
    epochs: int
    seed: int
    device: str
    losses: tuple[LossPoint, ...]
    accuracies: tuple[EpochPoint, ...]
    scored_on: str
    temperature: float
    command: str
    data_checksums: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def check_readings(count: int) -> None:
    """Makes sure, before a run, that a checkpoint can hold what will be read of its loss.

    Raises:
        DigitcliError: It cannot.
    """
    if count > MOST_READINGS:
        raise DigitcliError(
            f"{count:,} readings of the loss are more than the {MOST_READINGS:,} that a checkpoint "
            "holds",
            "give a larger --log-every",
        )


def library_versions() -> dict[str, str]:
    """Returns the versions that a result may depend on, of those packages already imported."""
    packages = ["digitcli", "torch", "numpy"]
    versions = {
        name: str(sys.modules[name].__version__) for name in packages if name in sys.modules
    }
    return {**versions, "python": ".".join(map(str, sys.version_info[:3]))}


def parse_metadata(path: Path, document: str) -> Metadata:
    """Reads the metadata of a checkpoint and checks every value.

    Args:
        path: The checkpoint, for messages.
        document: The JSON document.

    Raises:
        CheckpointError: It cannot be read, is from a newer version, or a value is impossible.
    """
    try:
        values = parse_json(document)
        if not isinstance(values, dict):
            raise ValueError(f"it is {told(values)}, not an object")  # noqa: TRY301, TRY004
    except ValueError as error:
        raise CheckpointError(
            f"the metadata of {path} cannot be read ({error})", TRAIN_AGAIN
        ) from error
    version = values.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {told(version)}, this digitcli reads up to "
            f"{FORMAT_VERSION}",
            "upgrade with 'pip install --upgrade digitcli'",
        )
    try:
        if typed(version, int, "format_version") < 1:
            raise ValueError(f"format_version is {told(version)}, which never was")  # noqa: TRY301
        if version == 1:
            values = _from_version_1(values)
        metadata = record(values, Metadata, "the document")
    except (DigitcliError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the metadata of {path} is incomplete or of the wrong type ({error})", TRAIN_AGAIN
        ) from error
    _check(path, metadata)
    return metadata


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


def told(value: Any) -> str:
    """Names a value of JSON in a message, whatever its size and its depth."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _check(path: Path, metadata: Metadata) -> None:
    """Checks what values say together, and whether they are possible."""
    if abs(metadata.mean) > _LARGEST_MEAN or not 1 / _LARGEST_MEAN < metadata.std < _LARGEST_MEAN:
        raise CheckpointError(
            f"the normalisation in {path} is impossible (mean {metadata.mean}, "
            f"standard deviation {metadata.std})",
            TRAIN_AGAIN,
        )
    coldest, hottest = TEMPERATURES
    if not coldest <= metadata.temperature <= hottest:
        raise CheckpointError(
            f"the temperature {metadata.temperature} in {path} is outside {coldest:g} to "
            f"{hottest:g}",
            TRAIN_AGAIN,
        )
    if metadata.scored_on not in ("test", "validation"):
        raise CheckpointError(
            f"{path} was scored on {told(metadata.scored_on)}, neither test nor validation",
            TRAIN_AGAIN,
        )
    names = metadata.classes
    if not 2 <= len(names) <= MOST_CLASSES:
        raise CheckpointError(
            f"{path} has {len(names):,} classes, not 2 to {MOST_CLASSES}", TRAIN_AGAIN
        )
    for i, name in enumerate(names):
        if not 1 <= len(name) <= LONGEST_CLASS or name in names[:i]:
            raise CheckpointError(
                f"the class {told(name)} in {path} is nameless, is named as another, or has a name "
                f"of more than {LONGEST_CLASS} characters",
                TRAIN_AGAIN,
            )
    expected = layer_sizes(len(names))
    if metadata.layer_sizes != expected:
        sizes = "-".join(map(str, metadata.layer_sizes[: len(expected) + 1]))
        raise CheckpointError(
            f"{path} is for other layer sizes: {sizes} with {len(names)} classes, not "
            f"{'-'.join(map(str, expected[:-1]))} and one output per class",
            TRAIN_AGAIN,
        )


_SINCE_VERSION_1: dict[str, Any] = {
    "nesterov": False,
    "schedule": "constant",
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "batch_norm": False,
    "deformation": asdict(Deformation()),
    "outliers": 0.0,
    "temperature": 1.0,
}
"""What recipes have come to tell since the first of format version 1, as it was then."""


def _from_version_1(values: dict[str, Any]) -> dict[str, Any]:
    """Adds to a document of format version 1 what has come to be told since."""
    if not isinstance(values.get("recipe"), dict):
        raise TypeError(f"recipe is {told(values.get('recipe'))}, not an object")
    return {
        **values,
        "recipe": {**_SINCE_VERSION_1, **values["recipe"]},
        "scored_on": "test",
        "temperature": 1.0,
        "command": "",
        "data_checksums": {},
        "format_version": FORMAT_VERSION,
    }


_LONGEST_TEXT = 10_000
"""Characters; the longest there is, a command line, has some hundred."""

_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def record(values: Any, kind: type[_T], name: str) -> _T:
    """Builds a dataclass from a JSON object that holds its fields and nothing else."""
    if not isinstance(values, dict):
        raise TypeError(f"{name} is {told(values)}, not an object")
    types = _types_of(cast("Hashable", kind))
    if unknown := sorted(values.keys() - types.keys()):
        raise TypeError(f"{name} holds an unknown entry {told(unknown[0])}")
    if missing := sorted(types.keys() - values.keys()):
        raise TypeError(f"{name} lacks {missing[0]}")
    return kind(
        **{field: read_value(values[field], type_, field) for field, type_ in types.items()}
    )


@functools.cache
def _types_of(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def read_value(value: Any, type_: Any, name: str) -> Any:
    """Reads a value of the type of a field: plain, a record, or a tuple or dictionary of such.

    Args:
        value: What JSON held.
        type_: A type, or one "or None".
        name: What the value is called where it is told of.

    Raises:
        TypeError: It is of another type.
        ValueError: It is larger than such values are.
    """
    if is_dataclass(type_):
        return record(value, cast("type[Any]", type_), name)
    of = get_args(type_)
    if get_origin(type_) is UnionType:
        return None if value is None else read_value(value, of[0], name)
    if get_origin(type_) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{name} is {told(value)}, not a list")
        return tuple(read_value(item, of[0], f"an item of {name}") for item in value)
    if get_origin(type_) is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{name} is {told(value)}, not an object")
        return {
            typed(key, of[0], f"a key of {name}"): read_value(item, of[1], f"an item of {name}")
            for key, item in value.items()
        }
    return typed(value, type_, name)


def typed(value: Any, kind: type, name: str) -> Any:
    """Reads a plain value; raises TypeError or ValueError as ``read_value`` does."""
    if kind is float and type(value) is int and abs(value) < 2**63:
        value = float(value)  # JSON has one kind of number
    given = type(value)  # and no other that it is a kind of, as True is of a whole number
    if given is not kind:
        raise TypeError(f"{name} is {told(value)}, not {_KINDS[kind]}")
    if kind is str:
        value.encode()  # half a character, as JSON can spell it, raises a ValueError
        fits = len(value) <= _LONGEST_TEXT
    elif kind is float:
        fits = math.isfinite(value)
    else:
        fits = abs(value) < 2**63
    if not fits:
        raise ValueError(f"{name} is too large: {told(value)}")
    return value
