"""Putting together what a network is trained on and scored on."""

import math

import numpy as np
import numpy.typing as npt

from digitcli.core.training.loader import TrainingData
from digitcli.data.datasets.outliers import make_outliers
from digitcli.data.datasets.registry import DatasetLocation, find_dataset
from digitcli.data.datasets.split import hold_out


def load_training_data(
    dataset: str,
    source: DatasetLocation,
    *,
    validation: int | None,
    seed: int,
    outliers: bool,
    classes: tuple[str, ...] | None = None,
) -> TrainingData:
    """Loads a data set for training.

    Args:
        dataset: Its name.
        source: Where the files are, and where to fetch them.
        validation: Training pictures to hold out, and to score on in place of the test set, which
            is then not read.
        seed: Decides which are held out, and what the outliers are.
        outliers: Whether to make pictures of no digit, from the training pictures that are left.
        classes: The classes of the network, if they are more than the data set's.

    Raises:
        DatasetError: There is no such data set, its files cannot be read or fetched, or it has
            other classes.
        DigitcliError: There are too few pictures to hold so many out.
    """
    chosen = find_dataset(dataset, classes)
    classes = classes or chosen.classes
    train = chosen.load("train", source, classes)
    mean, std = chosen.normalisation or pixel_statistics(train.images)
    if validation is None:
        scored = chosen.load("test", source, classes)
    else:
        train, scored = hold_out(train, validation, seed)
    return TrainingData(
        name=chosen.name,
        classes=classes,
        mean=mean,
        std=std,
        train_images=train.images,
        train_labels=train.labels,
        scored_images=scored.images,
        scored_labels=scored.labels,
        scored_on="test" if validation is None else "validation",
        checksums=train.checksums | scored.checksums,
        outliers=make_outliers(train.images, train.labels, seed) if outliers else None,
    )


def pixel_statistics(images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Returns the mean and the standard deviation of pixels in 0..1, not all of them equal.

    Args:
        images: uint8, of any shape; at least one.
    """
    parts = np.array_split(images.ravel(), math.ceil(images.size / _PART))
    counts = np.sum([np.bincount(part, minlength=256) for part in parts], axis=0)
    levels = np.arange(256) / 255
    mean = float(counts @ levels) / images.size
    return mean, math.sqrt(float(counts @ (levels - mean) ** 2) / images.size)


_PART = 2**20
"""Pixels counted at a time, each of which takes eight bytes for it."""
