"""The metadata of a checkpoint: how its network was trained, and how to use it."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digitcli.core.errors import DigitcliError
from digitcli.core.files.home import portable_path
from digitcli.core.files.schema import describe
from digitcli.core.recipes import TEMPERATURES, Recipe

FORMAT_VERSION = 1

INPUTS = 28 * 28
HIDDEN = (512, 256, 128, 64)
"""Widths of the lesson's hidden layers."""

MAX_CLASSES = 100
"""Maximum number of classes: more than digits and letters need, few enough for every table."""

MAX_CLASS_NAME = 40
"""Maximum length of a class name in characters."""

MAX_LOSS_POINTS = 100_000
"""Maximum number of loss and epoch points; they take 7 of a header's 8 MiB."""

MAX_SEED = 2**32 - 1
"""Maximum seed, which every random generator accepts."""

FOLDER_PREFIX = "folder:"
"""Start of the name of a data set that is a folder of images, followed by its path."""

_MAX_MEAN = 1e6
"""Maximum magnitude of the mean, and of the standard deviation and its inverse: normalized pixels,
from 0..1, then stay within float32."""


def recorded_dataset(name: str) -> str:
    """Returns the name of a data set as a checkpoint records it; see ``portable_path``."""
    if not name.startswith(FOLDER_PREFIX):
        return name
    return FOLDER_PREFIX + portable_path(name.removeprefix(FOLDER_PREFIX))


def layer_sizes(classes: int) -> tuple[int, ...]:
    """Returns the widths of the network from input to output for a number of classes."""
    return (INPUTS, *HIDDEN, classes)


@dataclass(frozen=True)
class LossPoint:
    """Mean loss of the batches since the last point; epoch and batch count from 1."""

    epoch: int
    batch: int
    loss: float


@dataclass(frozen=True)
class EpochPoint:
    """Mean loss of an epoch's batches, and accuracy in 0..1 on images not trained on."""

    epoch: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Metadata:
    """How a checkpoint's network was trained, and how to use it."""

    layer_sizes: tuple[int, ...]  # widths from input to output
    classes: tuple[str, ...]  # class names in the order of the outputs
    mean: float  # subtracted from pixels in 0..1 before the first layer
    std: float  # divisor of the pixels after that
    dataset: str  # name of the training data set, as ``recorded_dataset`` returns it
    recipe: Recipe
    epochs: int  # finished when the file was written
    seed: int  # of the initial weights and everything else drawn at random
    device: str  # type of the training device, such as "cpu"
    losses: tuple[LossPoint, ...]
    accuracies: tuple[EpochPoint, ...]
    scored_on: str  # "test", or "validation" for images held out of the training set
    temperature: float  # divisor of the logits before softmax, within TEMPERATURES
    command: str  # command line that trains this checkpoint; "" for a run without one
    data_checksums: dict[str, str]  # by file, as "md5:..." or "sha256:..."
    versions: dict[str, str] = field(default_factory=dict)  # digitcli, torch, NumPy, Python
    format_version: int = FORMAT_VERSION


def check_loss_points(epochs: int, within_epochs: int) -> None:
    """Checks before a run that a checkpoint can hold its points: one per epoch and all within.

    Raises:
        DigitcliError: There are more than ``MAX_LOSS_POINTS``.
    """
    too_many = f"are more than the {MAX_LOSS_POINTS:,} that a checkpoint can hold"
    if epochs > MAX_LOSS_POINTS:
        raise DigitcliError(f"{epochs:,} epochs {too_many}", "give fewer with --epochs")
    count = epochs + within_epochs
    if count > MAX_LOSS_POINTS:
        raise DigitcliError(f"{count:,} loss points {too_many}", "give a larger --log-every")


def check_point_count(values: Any) -> None:
    """Checks that a metadata document has no more loss and epoch points than a run writes.

    Raises:
        ValueError: There are more than ``MAX_LOSS_POINTS``, which would take long to parse.
    """
    lists = [values.get(name) for name in ("losses", "accuracies")]
    count = sum(len(points) for points in lists if isinstance(points, list))
    if count > MAX_LOSS_POINTS:
        raise ValueError(f"{count:,} loss points, more than {MAX_LOSS_POINTS:,}")


def progress_problems(
    seed: int, epochs: int, losses: Iterable[LossPoint], accuracies: Iterable[EpochPoint]
) -> Iterator[str]:
    """Yields what is wrong with a run's seed, and with its points in this number of epochs."""
    if not 0 <= seed <= MAX_SEED:
        yield f"the seed {seed} is outside 0 to {MAX_SEED}"
    for loss in losses:
        if not (1 <= loss.epoch <= epochs and loss.batch >= 1):
            yield f"a loss of epoch {loss.epoch}, batch {loss.batch} is impossible"
    for number, point in enumerate(accuracies, start=1):
        if point.epoch != number or number > epochs or not 0 <= point.accuracy <= 1:
            yield f"an accuracy of {point.accuracy} after epoch {point.epoch} is impossible"


def class_problems(owner: object, names: Sequence[str]) -> Iterator[str]:
    """Yields what is wrong with the classes of a network; ``owner`` begins the messages."""
    if not 2 <= len(names) <= MAX_CLASSES:
        yield f"{owner} has {len(names):,} classes, not 2 to {MAX_CLASSES}"
    for i, name in enumerate(names):
        if not 1 <= len(name) <= MAX_CLASS_NAME or name in names[:i]:
            yield (
                f"the class name {describe(name)} in {owner} is empty, a duplicate, or longer than "
                f"{MAX_CLASS_NAME} characters"
            )


def library_versions() -> dict[str, str]:
    """Returns the versions of Python and of the imported packages that a result may depend on."""
    packages = ["digitcli", "torch", "numpy"]
    versions = {
        name: str(sys.modules[name].__version__) for name in packages if name in sys.modules
    }
    return {**versions, "python": ".".join(map(str, sys.version_info[:3]))}


def metadata_problems(path: Path, metadata: Metadata) -> Iterator[str]:
    """Yields what is wrong with a checkpoint's metadata whose values have the right types."""
    if abs(metadata.mean) > _MAX_MEAN or not 1 / _MAX_MEAN < metadata.std < _MAX_MEAN:
        yield (
            f"the normalization in {path} is impossible (mean {metadata.mean}, standard deviation "
            f"{metadata.std})"
        )
    low, high = TEMPERATURES
    if not low <= metadata.temperature <= high:
        yield f"the temperature {metadata.temperature} in {path} is outside {low:g} to {high:g}"
    if metadata.scored_on not in ("test", "validation"):
        yield f"{path} was scored on {describe(metadata.scored_on)}, neither test nor validation"
    if not 1 <= metadata.epochs <= metadata.recipe.epochs:
        yield f"{path} is of epoch {metadata.epochs} of {metadata.recipe.epochs}"
    points = metadata.losses, metadata.accuracies
    for problem in progress_problems(metadata.seed, metadata.epochs, *points):
        yield f"{path} is of an impossible run: {problem}"
    names = metadata.classes
    yield from class_problems(path, names)
    expected = layer_sizes(len(names))
    if metadata.layer_sizes != expected:
        sizes = "-".join(map(str, metadata.layer_sizes[: len(expected) + 1]))
        yield (
            f"{path} is for other layer sizes: {sizes} with {len(names)} classes, not "
            f"{'-'.join(map(str, expected[:-1]))} and one output per class"
        )
