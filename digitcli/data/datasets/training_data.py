"""Loading the data of a training run."""

import math

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.metadata import recorded_dataset
from digitcli.core.checkpointing.training_state import Settings
from digitcli.core.errors import DatasetError
from digitcli.core.training.data import TrainingData
from digitcli.data.datasets.outliers import make_outliers
from digitcli.data.datasets.registry import Dataset, DatasetLocation
from digitcli.data.datasets.split import hold_out
from digitcli.data.datasets.synthetic import make_synthetic

_CHUNK = 2**20
"""Pixels counted at a time; counting one takes eight bytes."""


def load_training_data(
    dataset: Dataset, location: DatasetLocation, settings: Settings
) -> TrainingData:
    """Loads the images that a run trains on and is scored on.

    Args:
        dataset: The data set.
        location: Where its files are, and where to fetch them.
        settings: Classes of the network; number of images to hold out and to score on in place of
            the test set, which is then not read; seed of that split, of the outliers and
            of the synthetic digits.

    A validation split of the data set itself is scored on, too, in place of the test set.

    Raises:
        DatasetError: The files cannot be read or fetched, or too few images are left, or images
            are to be held out though the data set has a validation split.
    """
    classes, seed = settings.classes, settings.seed
    has_validation = "validation" in dataset.splits
    if has_validation and settings.validation is not None:
        raise DatasetError(
            f"{dataset.name} has a validation split of its own", "leave --validation out"
        )
    train = dataset.load("train", location, classes)
    mean, std = dataset.normalization or pixel_statistics(train.images)
    if settings.validation is not None:
        train, scored = hold_out(train, settings.validation, seed)
    else:
        scored = dataset.load("validation" if has_validation else "test", location, classes)
    outliers = make_outliers(train.images, train.labels, seed) if settings.recipe.outliers else None
    synthetic = make_synthetic(classes, seed) if settings.recipe.synthetic else (None, None)
    return TrainingData(
        name=recorded_dataset(dataset.name),
        classes=classes,
        mean=mean,
        std=std,
        train_images=train.images,
        train_labels=train.labels,
        scored_images=scored.images,
        scored_labels=scored.labels,
        scored_on="test" if settings.validation is None and not has_validation else "validation",
        checksums=train.checksums | scored.checksums,
        outliers=outliers,
        synthetic_images=synthetic[0],
        synthetic_labels=synthetic[1],
    )


def pixel_statistics(images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Returns the mean and the standard deviation of pixels in 0..1.

    Args:
        images: uint8 of any shape, at least one pixel.
    """
    chunks = np.array_split(images.ravel(), math.ceil(images.size / _CHUNK))
    counts = np.sum([np.bincount(chunk, minlength=256) for chunk in chunks], axis=0)
    levels = np.arange(256) / 255
    mean = float(counts @ levels) / images.size
    return mean, math.sqrt(float(counts @ (levels - mean) ** 2) / images.size)
