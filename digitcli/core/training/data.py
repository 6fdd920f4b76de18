"""The data of a training run."""

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from digitcli.core.recipes import Recipe

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingData:
    """The images that a run learns from and is scored on."""

    name: str  # of the data set, as ``recorded_dataset`` returns it
    classes: tuple[str, ...]  # names, in the order of the labels
    mean: float  # of the pixels in 0..1, for normalization
    std: float  # standard deviation of the pixels in 0..1, for normalization
    train_images: Images  # uint8 (count, 28, 28)
    train_labels: Labels  # int64 (count,), indices of classes
    scored_images: Images  # none of them is trained on
    scored_labels: Labels
    scored_on: str = "test"  # or "validation", on which the temperature is fitted as well
    checksums: dict[str, str] = field(default_factory=dict)  # of the files that were read
    outliers: Images | None = None  # non-digit images for outlier exposure
    synthetic_images: Images | None = None  # digits in styles that the data set lacks
    synthetic_labels: Labels | None = None  # int64, indices of classes

    def class_counts(self, labels: Labels) -> dict[str, int]:
        """Returns the number of images of each class that has any, given their labels."""
        counts = np.bincount(labels, minlength=len(self.classes)).tolist()
        return {name: count for name, count in zip(self.classes, counts, strict=True) if count}

    def batches_per_epoch(self, batch_size: int) -> int:
        """Returns the number of batches in an epoch; the last may be smaller."""
        return math.ceil(len(self.train_labels) / batch_size)

    def checksums_for(self, recipe: Recipe) -> dict[str, str]:
        """Returns the checksums of all images that a run of a recipe uses."""
        checksums = dict(self.checksums)
        if recipe.outliers and self.outliers is not None:
            digest = hashlib.sha256(self.outliers.tobytes())
            checksums["outliers"] = f"sha256:{digest.hexdigest()}"
        if recipe.synthetic and self.synthetic_images is not None:
            digest = hashlib.sha256(self.synthetic_images.tobytes())
            digest.update(np.asarray(self.synthetic_labels, dtype="<i8").tobytes())
            checksums["synthetic"] = f"sha256:{digest.hexdigest()}"
        return checksums
