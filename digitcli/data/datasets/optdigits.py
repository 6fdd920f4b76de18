"""Optdigits: the 1,797 handwritten digits that come with scikit-learn.

They are the test part of the UCI "Optical Recognition of Handwritten Digits" set (Alpaydin and
Kaynak 1998), 8x8 pixels of 0..16.
"""

import hashlib

import numpy as np

from digitcli.data.datasets.split import Split
from digitcli.data.preprocessing.mnist_form import prepare

_SPLIT_SEED = 0
"""Fixes which fifth is held out, for every run and every user alike."""


def load_optdigits(split: str) -> Split:
    """Loads the digits, each brought to 28x28 the way a user's picture is.

    Args:
        split: "train" (1,437 digits) or "test" (360, a stratified fifth).
    """
    # Slow to import, so only where it is needed.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    chosen = dict(
        zip(
            ("train", "test"),
            train_test_split(
                np.arange(len(digits.target)),
                test_size=0.2,
                random_state=_SPLIT_SEED,
                stratify=digits.target,
            ),
            strict=True,
        )
    )[split]
    # The digits touch the edge of their 8x8 pixels; a margin shows what is paper.
    grey = np.pad(digits.images[chosen] / 16, ((0, 0), (1, 1), (1, 1)))
    images = np.stack([prepare(picture).image for picture in grey.astype(np.float32)])
    labels = digits.target[chosen].astype(np.int64)
    # Of the pictures as they are learned from: the preparation and the split are part of the data.
    checksum = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    return Split(images, labels, {f"optdigits-{split}": f"sha256:{checksum}"})
