"""Pictures that are no digits, to train with."""

import numpy as np
import numpy.typing as npt
import pytest
from drawn_digits import drawn_pictures, likeness

from digitcli.data.datasets import outliers
from digitcli.data.preprocessing.mnist_form import is_mnist_form

IMAGES, LABELS = drawn_pictures(50, 1)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outliers, "_COUNT", 55)


def made(seed: int) -> npt.NDArray[np.uint8]:
    return outliers.make_outliers(IMAGES, LABELS, seed)


def test_they_are_in_mnist_form_and_no_two_are_alike() -> None:
    pictures = made(0)
    assert pictures.shape == (55, 28, 28)
    assert pictures.dtype == np.uint8
    assert all(is_mnist_form(picture) for picture in pictures)
    assert len(np.unique(pictures, axis=0)) > 52  # a plain shape can come twice
    assert not any((picture == IMAGES).all(axis=(1, 2)).any() for picture in pictures)
    assert np.mean([likeness(picture)[1] > 15 for picture in pictures]) > 0.85


def test_the_seed_alone_decides() -> None:
    first = made(3)
    assert np.array_equal(first, made(3))
    assert (first == made(4)).all(axis=(1, 2)).mean() < 0.1
