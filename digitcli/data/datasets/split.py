"""Labelled images in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.errors import DatasetError

ALL = "all"
"""Name of the split that holds all images of a data set."""


@dataclass(frozen=True)
class TrainingPart:
    """The training split among all images of a data set, by which a checkpoint is recognized."""

    count: int
    checksums: dict[str, str]  # as in the metadata of a checkpoint that was trained on it

    def count_trained_on(self, metadata: Metadata) -> int:
        """Returns the number of images if a checkpoint was trained on them, else 0.

        A run that held some of them out was trained on fewer.
        """
        return self.count if self.checksums.items() <= metadata.data_checksums.items() else 0


@dataclass(frozen=True)
class Split:
    """The training, the validation or the test set of a data set."""

    images: npt.NDArray[np.uint8]  # (count, 28, 28), light ink on black
    labels: npt.NDArray[np.int64]  # (count,), class indices
    checksums: dict[str, str]  # of each file read, as "md5:...", by file name
    files: int | None = None  # in all splits of a folder of images, also those left out
    training: TrainingPart | None = None  # if these are all images, and a network can be trained

    @classmethod
    def of_images(
        cls, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], name: str
    ) -> "Split":
        """Returns a split whose checksum is of the prepared images and labels, not of files."""
        checksum = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
        return cls(images, labels, {name: f"sha256:{checksum}"})

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "Split":
        """Returns the images with the given indices, in that order."""
        return Split(self.images[indices], self.labels[indices], self.checksums)

    def joined(self, other: "Split") -> "Split":
        """Returns all images of a data set, of which these are for training."""
        return Split(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
            self.checksums | other.checksums,
            training=TrainingPart(len(self), self.checksums),
        )

    def relabelled(self, classes: Sequence[str], new_classes: Sequence[str]) -> "Split":
        """Returns the split with indices of ``new_classes``, which include all ``classes``."""
        labels = np.array([new_classes.index(name) for name in classes], dtype=np.int64)
        return replace(self, labels=labels[self.labels])


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Splits a training set, to choose settings by images that training has not seen.

    Returns:
        The images to train on, and ``count`` images held out, stratified by class. The ``seed``,
        0 to 2**32 - 1, determines which.

    Raises:
        DatasetError: One of the two would lack a class.
    """
    from sklearn.model_selection import train_test_split  # slow to import

    _, counts = np.unique(split.labels, return_counts=True)
    if counts.min() < 2:
        raise DatasetError(
            "a class has a single training image, which cannot be held out",
            "add images to it, or leave --validation out",
        )
    classes = len(counts)
    if not classes <= count <= len(split) - classes:
        raise DatasetError(
            f"holding out {count} of {len(split)} training images leaves some of the {classes} "
            "classes without an image",
            f"give --validation {classes} to {len(split) - classes}",
        )
    kept, held_out = train_test_split(
        np.arange(len(split)), test_size=count, random_state=seed, stratify=split.labels
    )
    return split.subset(kept), split.subset(held_out)
