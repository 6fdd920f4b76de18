"""The images of the benchmark: readable, reproducible, with the right stroke widths."""

import numpy as np
import pytest
from drawn_digits import drawn_pictures
from drawn_strokes import DRAWN_STYLES
from held_out_fonts import MEDIA, font_picture
from not_digits import BLANKS, NON_DIGITS
from scenery import generator
from traced_digits import Place, drawn, penned, trace
from wild_pictures import CONDITIONS, MNIST_VARIANTS

from digitcli.data.images.grayscale import read_gray
from digitcli.data.preprocessing.mnist_form import prepare

DIGITS, _ = drawn_pictures(10, seed=5)


def content(name: str, seed: int) -> bytes:
    rng = generator(name, seed, 0)
    if scene := (NON_DIGITS | BLANKS).get(name):
        return scene(rng, DIGITS)
    if name in DRAWN_STYLES:
        return DRAWN_STYLES[name](rng, seed)[1]
    if name in MEDIA:
        return font_picture(name, rng, seed)[2]
    return (CONDITIONS | MNIST_VARIANTS)[name](DIGITS[7], rng)


@pytest.mark.parametrize("name", ["pencil", "strip-of-2", "one-foot", "blank-grain"])
def test_an_image_depends_on_its_seed_alone(name: str) -> None:
    assert content(name, seed=1) == content(name, seed=1) != content(name, seed=2)


@pytest.mark.parametrize("name", [*CONDITIONS, *MNIST_VARIANTS, *DRAWN_STYLES, *NON_DIGITS])
def test_an_image_has_contrast(name: str) -> None:
    grey = read_gray(content(name, seed=1))
    assert grey.max() - grey.min() > 0.1


@pytest.mark.parametrize("name", MEDIA)
def test_a_printed_digit_has_contrast(name: str) -> None:
    test_an_image_has_contrast(name)


def test_a_cropped_digit_reaches_every_border() -> None:
    grey = read_gray(content("mnist-cropped", seed=1))
    dark = read_gray(content("mnist-cropped-inverted", seed=1))
    for edge in (0, -1):
        for axis in (0, 1):
            assert np.take(grey, edge, axis).max() > 0.25
            assert np.take(dark, edge, axis).min() < 0.75


@pytest.mark.parametrize("name", BLANKS)
def test_a_blank_image_has_no_contrast(name: str) -> None:
    grey = read_gray(content(name, seed=1))
    assert np.abs(np.diff(grey, axis=1)).max() < 0.15


def test_mnist_as_png_stays_the_same() -> None:
    assert (prepare(read_gray(content("mnist-png", seed=1))).image == DIGITS[7]).all()


def test_the_stroke_width_is_as_given() -> None:
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 12:16] = 255
    traced = trace(bar)
    share = drawn(traced, penned(traced, 0.1), (400, 400), Place(300, (200, 200), 0))
    assert share[200].sum() == pytest.approx(30, abs=1)
    assert share[:, 200].sum() == pytest.approx(300 * (1 - 4 / 20) + 30, rel=0.06)
