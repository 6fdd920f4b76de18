"""Non-digit images for outlier exposure."""

import numpy as np
import numpy.typing as npt
import pytest
from drawn_digits import drawn_pictures, likeness

from digitcli.data.datasets import outliers
from digitcli.data.preprocessing.mnist_form import is_mnist_form

IMAGES, LABELS = drawn_pictures(50, 1)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outliers, "_COUNT", 58)


def made(seed: int) -> npt.NDArray[np.uint8]:
    return outliers.make_outliers(IMAGES, LABELS, seed)


def test_outliers_are_in_mnist_form_and_differ() -> None:
    images = made(0)
    assert images.shape == (58, 28, 28)
    assert images.dtype == np.uint8
    assert all(is_mnist_form(image) for image in images)
    assert len(np.unique(images, axis=0)) > 54  # a simple shape may occur twice
    assert not any((image == IMAGES).all(axis=(1, 2)).any() for image in images)
    assert np.mean([likeness(image)[1] > 15 for image in images]) > 0.85


def test_equal_seeds_give_equal_images() -> None:
    first = made(3)
    assert np.array_equal(first, made(3))
    assert (first == made(4)).all(axis=(1, 2)).mean() < 0.1
