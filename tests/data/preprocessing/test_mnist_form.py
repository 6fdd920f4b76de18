"""Preparation of images in MNIST form."""

import numpy as np
import pytest
from drawn_digits import as_grey, draw_digit, drawn_pictures, likeness, prepared
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digitcli.core.errors import PictureError
from digitcli.data.preprocessing.mnist_form import is_mnist_form

images = st.one_of(
    hnp.arrays(np.float32, (28, 28), elements=st.floats(0, 1, width=32)),
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=60),
        elements=st.sampled_from([0, 1 / 255, 0.2, 0.5, 0.9, 254 / 255, 1]),
        fill=st.sampled_from([0.0, 0.5, 1.0]),
    ),
)


@given(images)
@settings(max_examples=300)
def test_any_image_comes_to_a_fixed_point_or_is_blank(grey: np.ndarray) -> None:
    try:
        image = prepared(grey)
    except PictureError as error:
        assert "blank" in str(error)
        return
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert is_mnist_form(image)
    again = prepared(image.astype(np.float32) / np.float32(255))
    assert np.array_equal(again, image)


@pytest.mark.parametrize("digit", range(10))
def test_position_and_colors_do_not_matter(digit: int) -> None:
    reference = prepared(as_grey(draw_digit(digit, size=200, scale=0.5))).astype(float)
    for variant in (
        draw_digit(digit, size=200, scale=0.5, ink=255, paper=0),
        draw_digit(digit, size=200, scale=0.5, ink=40, paper=190),
        draw_digit(digit, size=200, scale=0.5, shift=(0.15, -0.2)),
    ):
        image = prepared(as_grey(variant)).astype(float)
        assert np.abs(image - reference).max() <= 3  # gray levels lost to rounding


@pytest.mark.parametrize(("size", "scale"), [(400, 0.25), (100, 0.8), (1200, 0.6)])
def test_size_does_not_matter(size: int, scale: float) -> None:
    for digit in range(10):
        nearest, distance = likeness(prepared(as_grey(draw_digit(digit, size=size, scale=scale))))
        assert nearest == digit
        assert distance < 15


def test_inverted_mnist_comes_back_exactly() -> None:
    for image in drawn_pictures(20, 3)[0]:
        inverted = (255 - image).astype(np.float32) / np.float32(255)
        assert np.array_equal(prepared(inverted), image)


def test_the_longer_side_fills_twenty_pixels_and_the_mass_is_centered() -> None:
    wide = np.ones((100, 300), dtype=np.float32)
    wide[40:60, 20:280] = 0
    image = prepared(wide)
    rows, columns = np.nonzero(image)
    assert columns.max() - columns.min() + 1 == 20
    assert rows.max() - rows.min() + 1 == 2
    assert abs(rows.mean() - 14) <= 0.5
    assert abs(columns.mean() - 14) <= 0.5


def test_the_aspect_ratio_is_kept() -> None:
    tall = np.ones((90, 90), dtype=np.float32)
    tall[10:80, 30:65] = 0
    rows, columns = np.nonzero(prepared(tall))
    assert rows.max() - rows.min() + 1 == 20
    assert columns.max() - columns.min() + 1 == 10


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (500, 300), (1, 5000)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_one_color_is_blank(shape: tuple[int, int], level: float) -> None:
    with pytest.raises(PictureError, match="blank"):
        prepared(np.full(shape, level, dtype=np.float32))
