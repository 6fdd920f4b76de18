"""Optdigits: the 1,797 handwritten digits that come with scikit-learn.

They are the test part of the UCI "Optical Recognition of Handwritten Digits" set (Alpaydin and
Kaynak 1998): 8x8 pixels of 0..16.
"""

import numpy as np

from digitcli.data.datasets.split import Split
from digitcli.data.preprocessing.mnist_form import prepare

_SPLIT_SEED = 0  # the same for every run and user


def load_optdigits(split: str) -> Split:
    """Loads "train" (1,437 digits) or "test" (360, a stratified fifth), prepared by ``prepare``."""
    from sklearn.datasets import load_digits  # slow to import
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)),
        test_size=0.2,
        random_state=_SPLIT_SEED,
        stratify=digits.target,
    )
    chosen = train if split == "train" else test
    # The digits touch the edges of their 8x8 pixels; a margin shows what is background.
    gray = np.pad(digits.images[chosen] / 16, ((0, 0), (1, 1), (1, 1)))
    images = np.stack([prepare(image).image for image in gray.astype(np.float32)])
    return Split.of_images(images, digits.target[chosen].astype(np.int64), f"optdigits-{split}")
