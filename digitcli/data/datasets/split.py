"""Labelled images in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import DatasetError


@dataclass(frozen=True)
class Split:
    """The training or the test set of a data set.

    Attributes:
        images: uint8 (count, 28, 28), light ink on black.
        labels: int64 (count,), class indices.
        checksums: Checksum of each file read, as "md5:...", by file name.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    checksums: dict[str, str]

    @classmethod
    def of_images(
        cls, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], name: str
    ) -> "Split":
        """Returns a split whose checksum is of the prepared images and labels, not of a file.

        So it changes with the preparation and with the choice of images.
        """
        checksum = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
        return cls(images, labels, {name: f"sha256:{checksum}"})

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "Split":
        """Returns the images with the given indices, in that order."""
        return Split(self.images[indices], self.labels[indices], self.checksums)

    def relabelled(self, classes: Sequence[str], target_classes: Sequence[str]) -> "Split":
        """Returns the split with other class indices.

        Args:
            classes: Classes that the labels are indices of.
            target_classes: Classes that the new labels are indices of, including all ``classes``.
        """
        targets = np.array([target_classes.index(name) for name in classes], dtype=np.int64)
        return Split(self.images, targets[self.labels], self.checksums)


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Splits a training set, to choose settings by images that training has not seen.

    Args:
        split: The training set.
        count: Images to hold out, stratified: at least one of every class.
        seed: Determines which are held out; 0 to 2**32 - 1.

    Returns:
        The images to train on, and those held out.

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
