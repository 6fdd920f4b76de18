"""Separating ink from the background: shadows, padding, ruled lines and grain."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from drawn_digits import as_grey, draw_digit, likeness, prepared
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digitcli.core.errors import BlankPictureError
from digitcli.data.arrays import pixels_of
from digitcli.data.images.grayscale import read_gray
from digitcli.data.preprocessing.binarize import inner_image, local_background, otsu, separate_ink
from digitcli.data.preprocessing.mnist_form import prepare
from digitcli.data.preprocessing.ruled_lines import remove_ruled_lines

Field = npt.NDArray[np.float32]

SIDE = 240
Y, X = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
EVEN = np.ones_like(X)


def ink_of(digit: int, shift: tuple[float, float] = (0, 0)) -> Field:
    return 1 - as_grey(draw_digit(digit, size=SIDE, scale=0.5, shift=shift))


def page(ink: Field, light: Field, seed: int) -> Field:
    """Dark ink on white paper with fine grain, under some light."""
    grain = np.random.default_rng(seed).normal(0, 0.01, ink.shape)
    return np.asarray((0.95 * light * (1 - 0.8 * ink) + grain).clip(0, 1), np.float32)


LIGHTS = {
    "even": EVEN,
    "dim": 0.4 * EVEN,
    "shade to one side": 0.6 - 0.4 * X,
    "shade to a corner": 0.6 - 0.2 * (X + Y),
    "vignette": 1 - 0.4 * (X * X + Y * Y),
    "hard shadow": np.where(X + 0.6 * Y > 0.15, np.float32(0.55), np.float32(1)),
}


@pytest.mark.parametrize("light", LIGHTS)
def test_the_light_on_the_paper_does_not_matter(light: str) -> None:
    for digit in range(10):
        ink = ink_of(digit, shift=(0.2, 0.15))
        nearest, distance = likeness(prepared(page(ink, LIGHTS[light], digit)))
        assert nearest == digit
        assert distance < 18


@pytest.mark.parametrize("light", LIGHTS)
def test_light_alone_is_blank(light: str) -> None:
    with pytest.raises(BlankPictureError):
        prepare(page(np.zeros_like(X), LIGHTS[light], seed=1))


def test_the_grain_of_the_paper_is_not_ink() -> None:
    ink = ink_of(5)
    grain = np.random.default_rng(0).normal(0, 0.02, ink.shape)
    for light in (EVEN, LIGHTS["shade to a corner"]):
        grey = page(ink, light, seed=1) + grain
        found = separate_ink(np.asarray(grey.clip(0, 1), np.float32))
        assert (found[ink == 0] == 0).mean() > 0.9
        assert found[ink == 1].min() > 0.4


def test_a_little_ink_stands_out_from_the_grain() -> None:
    for digit in range(10):
        grey = 0.9 + np.random.default_rng(digit).normal(0, 0.03, (490, 490)).astype(np.float32)
        grey[300:340, 400:440] *= as_grey(draw_digit(digit, size=40, ink=50))
        nearest, distance = likeness(prepared(grey))
        assert nearest == digit
        assert distance < 20


def test_chalk_on_a_board() -> None:
    rng = np.random.default_rng(0)
    for digit in range(10):
        crumbs = rng.uniform(0.55, 1, X.shape)
        board = 0.25 + 0.05 * X + rng.normal(0, 0.02, X.shape)
        grey = np.asarray((board + 0.6 * ink_of(digit) * crumbs).clip(0, 1), np.float32)
        nearest, distance = likeness(prepared(grey))
        assert nearest == digit
        assert distance < 18


def test_hot_and_dead_pixels_are_ignored() -> None:
    rng = np.random.default_rng(0)
    hot = rng.integers(0, SIDE, (2, 10))
    for digit in range(10):
        grey = 0.5 - 0.25 * ink_of(digit)
        grey[hot[0], hot[1]] = 1  # more contrast to the background than the ink has
        nearest, distance = likeness(prepared(grey))
        assert nearest == digit
        assert distance < 15
    blank = 0.5 * EVEN
    blank[hot[0], hot[1]] = 0
    with pytest.raises(BlankPictureError):
        prepare(blank)


def test_yellow_ink_is_found() -> None:
    rng = np.random.default_rng(0)
    white, yellow = np.array([255, 255, 255]), np.array([255, 255, 170])
    for digit in range(10):
        grain = rng.normal(0, 4, (SIDE, SIDE, 1))
        pixels = white - 5 + ink_of(digit)[..., None] * (yellow - white) + grain
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        image.save("yellow.png")
        nearest, distance = likeness(prepared(read_gray(Path("yellow.png"))))
        assert nearest == digit
        assert distance < 15


# Ruled and squared paper


def lines(slope: float, spacing: int = 45, width: int = 2) -> npt.NDArray[np.bool_]:
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE)[None]
    across: npt.NDArray[np.bool_] = (rows - slope * columns + 25) % spacing < width
    return across


RULINGS = {
    "ruled": lines(0),
    "not quite straight": lines(0.05),
    "upright": lines(0).T,
    "squared": lines(0) | lines(0).T,
    "squared, turned": lines(0.04) | lines(-0.04).T,
}


@pytest.mark.parametrize("ruling", RULINGS)
def test_ruled_lines_are_removed(ruling: str) -> None:
    for digit in range(10):
        grey = page(ink_of(digit), EVEN, digit)
        grey = np.where(RULINGS[ruling], np.minimum(grey, np.float32(0.5)), grey)
        nearest, distance = likeness(prepared(grey))
        assert nearest == digit
        assert distance < 18


def test_ink_that_crosses_ruled_lines_stays() -> None:
    ink = ink_of(8)
    ruled = np.where(lines(0), np.maximum(ink, np.float32(0.4)), ink)
    cleared = remove_ruled_lines(ruled)
    strokes = ink > 0.9
    assert (cleared[strokes] > 0.9).all()
    assert cleared[lines(0) & (ink == 0)].max() == 0
    assert np.array_equal(remove_ruled_lines(ink), ink)


def test_a_stroke_across_the_image_is_not_a_ruled_line() -> None:
    ink = ink_of(8)
    ink[30:33] = 1  # as dark as the digit, and the only one
    assert np.array_equal(remove_ruled_lines(ink), ink)


# Padding


def test_padding_around_an_image_with_its_own_background() -> None:
    inner = page(ink_of(5), 0.7 * EVEN, seed=1)
    padded = np.pad(inner, 30, constant_values=1)
    assert np.array_equal(padded[pixels_of(inner_image(padded))], inner)
    nearest, distance = likeness(prepared(padded))
    assert nearest == 5
    assert distance < 15


def test_other_borders_are_not_padding() -> None:
    for grey in (
        1 - ink_of(5),  # a drawing on an even background
        np.pad(0.5 * EVEN, 30, constant_values=1),  # a filled rectangle has no contrast inside
        page(ink_of(5), EVEN, seed=1),
        EVEN,
    ):
        assert grey[pixels_of(inner_image(grey))].shape == grey.shape


# The functions that this is built on


@given(st.floats(0, 0.3), st.floats(0.7, 1), st.integers(10, 90), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_otsu_separates_two_groups(low: float, high: float, percent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    upper = np.arange(1000) < 10 * percent
    levels = np.where(upper, high, low) + rng.uniform(-0.05, 0.05, 1000)
    values: Field = levels.astype(np.float32)
    assert ((values > otsu(values)) == upper).all()


def test_the_background_beneath_strokes() -> None:
    light = 0.6 + 0.2 * X
    background = local_background(light * (1 - 0.8 * ink_of(8)))
    assert np.abs(background - light).max() < 0.05
    edge = np.where(X > 0.1, np.float32(0.5), np.float32(1))
    assert np.array_equal(local_background(edge), edge)  # a shadow's edge stays sharp, and in place


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (7, 500)])
def test_the_background_of_images_of_any_shape(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).random(shape, np.float32)
    background = local_background(grey)
    assert background.shape == shape
    assert (background >= grey).all()
