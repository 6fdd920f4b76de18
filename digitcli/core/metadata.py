"""What a checkpoint says of itself: one JSON document, checked when it is read."""

import json
import sys
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np

from digitcli.core.errors import CheckpointError, DigitcliError
from digitcli.core.recipes import TEMPERATURES, Deformation, Recipe

FORMAT_VERSION = 3
INPUTS = 28 * 28
HIDDEN = (512, 256, 128, 64)
"""Widths of the lesson's hidden layers."""

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
        values = json.loads(document)
        version = values["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"the metadata of {path} cannot be read", TRAIN_AGAIN) from error
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, this digitcli reads up to {FORMAT_VERSION}",
            "upgrade with 'pip install --upgrade digitcli'",
        )
    try:
        if typed(version, int) == 1:
            values = _from_version_1(values)
        if values["format_version"] == 2:
            values = _from_version_2(values)
        metadata = Metadata(
            layer_sizes=tuple(typed(size, int) for size in values["layer_sizes"]),
            classes=tuple(typed(name, str) for name in values["classes"]),
            mean=typed(values["mean"], float),
            std=typed(values["std"], float),
            dataset=typed(values["dataset"], str),
            recipe=record(values["recipe"], Recipe),
            epochs=typed(values["epochs"], int),
            seed=typed(values["seed"], int),
            device=typed(values["device"], str),
            losses=tuple(record(point, LossPoint) for point in values["losses"]),
            accuracies=tuple(record(point, EpochPoint) for point in values["accuracies"]),
            scored_on=typed(values["scored_on"], str),
            temperature=typed(values["temperature"], float),
            command=typed(values["command"], str),
            data_checksums=texts(values["data_checksums"]),
            versions=texts(values["versions"]),
            format_version=typed(values["format_version"], int),
        )
    except (DigitcliError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            f"the metadata of {path} is incomplete or of the wrong type ({error})", TRAIN_AGAIN
        ) from error
    if not (np.isfinite(metadata.mean) and np.isfinite(metadata.std) and metadata.std > 0):
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
            f"{path} was scored on {metadata.scored_on!r:.40}, neither test nor validation",
            TRAIN_AGAIN,
        )
    expected = layer_sizes(len(metadata.classes))
    if len(metadata.classes) < 2 or metadata.layer_sizes != expected:
        raise CheckpointError(
            f"{path} is for other layer sizes: {'-'.join(map(str, metadata.layer_sizes))} with "
            f"{len(metadata.classes)} classes, not {'-'.join(map(str, expected[:-1]))} and one "
            "output per class",
            TRAIN_AGAIN,
        )
    if len(set(metadata.classes)) < len(metadata.classes):
        raise CheckpointError(f"{path} has two classes of one name", TRAIN_AGAIN)
    return metadata


_SINCE_VERSION_1: dict[str, Any] = {
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "batch_norm": False,
    "deformation": asdict(Deformation()),
    "outliers": 0.0,
    "temperature": 1.0,
}
"""What recipes have come to tell since format version 1, as it was then."""


def _from_version_1(values: dict[str, Any]) -> dict[str, Any]:
    """Adds to a document of format version 1 what has come to be told since."""
    recipe = {**_SINCE_VERSION_1, **values["recipe"]}
    return {
        **values,
        "recipe": recipe,
        "scored_on": "test",
        "temperature": 1.0,
        "command": "",
        "data_checksums": {},
        "format_version": 2,
    }


def _from_version_2(values: dict[str, Any]) -> dict[str, Any]:
    """Adds to a document of format version 2 what has come to be told since."""
    recipe = {"frozen": 0, **values["recipe"]}
    return {**values, "recipe": recipe, "format_version": FORMAT_VERSION}


def texts(values: Any) -> dict[str, str]:
    """Reads a mapping of texts from JSON; raises TypeError if it holds anything else."""
    return {typed(name, str): typed(value, str) for name, value in values.items()}


def typed(value: Any, kind: type[_T]) -> _T:
    """Reads a value of a type from JSON; raises TypeError if it is of another."""
    if kind is float and type(value) is int:
        return cast("_T", float(value))  # JSON has one kind of number
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r:.40} is not of type {kind.__name__}")
    return value


def record(values: Any, kind: type[_T]) -> _T:
    """Builds a dataclass from JSON, checking each field's type; one may hold another."""
    types = get_type_hints(kind)
    return kind(**{name: _value(values[name], type_) for name, type_ in types.items()})


def _value(value: Any, type_: Any) -> Any:
    if is_dataclass(type_):
        return record(value, cast("type[Any]", type_))
    if get_origin(type_) is tuple:
        return tuple(typed(item, get_args(type_)[0]) for item in typed(value, list))
    return typed(value, type_)
