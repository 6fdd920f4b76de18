"""Synthetic digits: strokes, seven segments and print."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from paths import ROOT

from digitcli.core.checkpointing.checkpoint import load_checkpoint
from digitcli.core.inference import forward
from digitcli.data.datasets import synthetic
from digitcli.data.datasets.strokes import draw
from digitcli.data.datasets.synthetic import STYLES, make_synthetic
from digitcli.data.preprocessing.components import find_components
from digitcli.data.preprocessing.mnist_form import is_mnist_form, to_mnist_form

DIGITS = tuple("0123456789")
HOLES = (1, 0, 0, 0, 0, 0, 1, 0, 2, 1)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "_PER_DIGIT", 40)


def holes(image: npt.NDArray[np.uint8]) -> int:
    """Returns the number of areas of background that ink encloses."""
    background = np.pad(image < 90, 1, constant_values=True)
    found = find_components(background, background.astype(np.float32))
    return len(found.mass) - 1


@cache
def read_by_bundled_weights(shape: tuple[int, ...], content: bytes) -> npt.NDArray[np.int64]:
    images = np.frombuffer(content, np.uint8).reshape(shape)
    checkpoint = load_checkpoint(ROOT / "checkpoints" / "pretrained.safetensors")
    return forward(checkpoint, images).argmax(axis=1)


def test_digits_are_in_mnist_form_with_more_ones_and_fours() -> None:
    images, labels = make_synthetic(DIGITS, seed=0)
    assert images.shape == (460, 28, 28)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [40, 80, 40, 40, 60, 40, 40, 40, 40, 40]
    assert np.mean([is_mnist_form(image) for image in images]) > 0.98
    assert len(np.unique(images, axis=0)) > 450


def test_the_bundled_weights_read_most_labels() -> None:
    images, labels = make_synthetic(DIGITS, seed=0)
    read = read_by_bundled_weights(images.shape, images.tobytes())
    for digit in range(10):
        assert (read[labels == digit] == digit).mean() > 0.6, digit


def test_labels_are_indices_of_the_classes() -> None:
    images, labels = make_synthetic(DIGITS, seed=1)
    same, reversed_labels = make_synthetic(DIGITS[::-1], seed=1)
    assert np.array_equal(images, same)
    assert np.array_equal(reversed_labels, 9 - labels)


def test_equal_seeds_give_equal_digits() -> None:
    images, labels = make_synthetic(DIGITS, seed=3)
    again, labels_again = make_synthetic(DIGITS, seed=3)
    assert np.array_equal(images, again)
    assert np.array_equal(labels, labels_again)
    assert (images == make_synthetic(DIGITS, seed=4)[0]).all(axis=(1, 2)).mean() < 0.1


@pytest.mark.parametrize("digit", [0, 1, 3, 6, 7, 8, 9])
def test_strokes_enclose_as_many_holes_as_the_digit_has(digit: int) -> None:
    rng = np.random.default_rng(0)
    slashed = {2, 3} if digit == 0 else set()  # a slash divides a zero
    for style in dict.fromkeys(STYLES[digit]):
        is_cut = "cut" in style.__name__
        expected = {HOLES[digit] - is_cut} | (set() if is_cut else slashed)
        found = [
            holes(to_mnist_form(draw(style(rng), rng, pen=(0.05, 0.08), aspect=(0.8, 1))))
            for _ in range(40)
        ]
        assert np.mean([count in expected for count in found]) > 0.75, style


def test_a_one_with_an_upstroke_is_not_a_seven() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        flag, stem = synthetic.one_with_upstroke(rng)[:2]
        (left, low), (right, top) = flag[0], flag[-1]
        assert left < right
        assert np.degrees(np.arctan2(low - top, right - left)) > 15  # down to the left
        assert np.ptp(stem[:, 1]) == 1
        (bar, *_) = synthetic._seven(rng)
        assert np.degrees(np.arctan2(bar[0, 1] - bar[1, 1], np.ptp(bar[:, 0]))) < 15
