"""Labelled pictures in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import DatasetError


@dataclass(frozen=True)
class Split:
    """The training or the test part of a data set.

    Attributes:
        images: uint8 (count, 28, 28), ink light on black.
        labels: int64 (count,), indices of classes.
        checksums: What they were read from: the checksum of each file, as "md5:..." for one.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    checksums: dict[str, str]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, picked: npt.NDArray[np.int64]) -> "Split":
        """Returns the pictures of some indices, in that order."""
        return Split(self.images[picked], self.labels[picked], self.checksums)

    def relabelled(self, classes: Sequence[str], among: Sequence[str]) -> "Split":
        """Returns the same with other indices.

        Args:
            classes: What the labels are indices of.
            among: What they are to be indices of; holds all of ``classes``.
        """
        places = np.array([among.index(name) for name in classes], dtype=np.int64)
        return Split(self.images, places[self.labels], self.checksums)


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Parts a training set, to choose settings on pictures that training has not seen.

    Args:
        split: What to part.
        count: Pictures to hold out; every class has its share of them, at least one.
        seed: Decides which, from 0 to 2**32 - 1.

    Returns:
        What is left to train on, and what is held out.

    Raises:
        DatasetError: Too few are held out, or left, for one of every class; or a class has one.
    """
    from sklearn.model_selection import train_test_split  # slow to import

    _, counts = np.unique(split.labels, return_counts=True)
    if counts.min() < 2:
        raise DatasetError(
            "a class has a single training picture, of which none can be held out",
            "add pictures to it, or leave --validation out",
        )
    classes = len(counts)
    if not classes <= count <= len(split) - classes:
        raise DatasetError(
            f"holding {count} out of {len(split)} training pictures leaves some of the {classes} "
            "classes without one",
            f"give --validation {classes} to {len(split) - classes}",
        )
    left, held = train_test_split(
        np.arange(len(split)), test_size=count, random_state=seed, stratify=split.labels
    )
    return split.part(left), split.part(held)
