"""Labelled pictures in memory."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Split:
    """The training or the test part of a data set.

    Attributes:
        images: uint8 (count, 28, 28), ink light on black.
        labels: int64 (count,), indices of classes.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
