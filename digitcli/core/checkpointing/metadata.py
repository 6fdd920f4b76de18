"""What a checkpoint says of itself: one JSON document, checked when it is read."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from digitcli.core.errors import CheckpointError, DigitcliError
from digitcli.core.files.schema import describe, parse_json, parse_record
from digitcli.core.recipes import TEMPERATURES, Recipe

FORMAT_VERSION = 1
INPUTS = 28 * 28
HIDDEN = (512, 256, 128, 64)
"""Widths of the lesson's hidden layers."""

MAX_CLASSES = 100
"""More than digits and letters make, and few enough for every table to hold them all."""

_LARGEST_MEAN = 1e6
"""What normalisation may take away and, or one over it, divide by: float32 holds what comes of it,
whose pixels are of 0 to 1."""

MAX_LOSS_POINTS = 100_000
"""Readings of the loss and epochs of a run; they take 7 of the 8 MiB that a header may have."""

MAX_CLASS_NAME = 40
"""Characters of a class's name."""

TRAIN_AGAIN = "choose another with --checkpoint, or train a new one with 'digitcli train'"


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


def check_loss_points(epochs: int, amid: int) -> None:
    """Makes sure, before a run, that a checkpoint can hold what will be read of its loss.

    Args:
        epochs: After each of them it is read once.
        amid: How often it is read amid them.

    Raises:
        DigitcliError: It cannot.
    """
    if epochs > MAX_LOSS_POINTS:
        raise DigitcliError(
            f"{epochs:,} epochs are more than the {MAX_LOSS_POINTS:,} that a checkpoint tells of",
            "give fewer with --epochs",
        )
    count = epochs + amid
    if count > MAX_LOSS_POINTS:
        raise DigitcliError(
            f"{count:,} readings of the loss are more than the {MAX_LOSS_POINTS:,} that a checkpoint "
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
            raise ValueError(f"it is {describe(values)}, not an object")  # noqa: TRY301, TRY004
    except ValueError as error:
        raise CheckpointError(
            f"the metadata of {path} cannot be read ({error})", TRAIN_AGAIN
        ) from error
    version = values.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {describe(version)}, this digitcli reads up to "
            f"{FORMAT_VERSION}",
            "upgrade with 'pip install --upgrade digitcli'",
        )
    try:
        if type(version) is int and version < 1:
            raise ValueError(f"format_version is {describe(version)}, which never was")  # noqa: TRY301
        metadata = parse_record(values, Metadata, "the document")
    except (DigitcliError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the metadata of {path} is incomplete or of the wrong type ({error})", TRAIN_AGAIN
        ) from error
    _check(path, metadata)
    return metadata


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
            f"{path} was scored on {describe(metadata.scored_on)}, neither test nor validation",
            TRAIN_AGAIN,
        )
    names = metadata.classes
    if not 2 <= len(names) <= MAX_CLASSES:
        raise CheckpointError(
            f"{path} has {len(names):,} classes, not 2 to {MAX_CLASSES}", TRAIN_AGAIN
        )
    for i, name in enumerate(names):
        if not 1 <= len(name) <= MAX_CLASS_NAME or name in names[:i]:
            raise CheckpointError(
                f"the class {describe(name)} in {path} is nameless, is named as another, or has a name "
                f"of more than {MAX_CLASS_NAME} characters",
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
