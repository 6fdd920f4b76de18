"""Rows whose digits lean, as those of meters do."""

import numpy as np
import pytest
from drawn_digits import as_grey, draw_digit
from paths import BUNDLED
from PIL import Image

from digitcli import Box, Classifier
from digitcli.data.segmentation.oversegment import Way, make_upright, segment, separate
from digitcli.data.segmentation.readings import is_sure
from digitcli.data.segmentation.slant import NO_SHEAR, Shear, estimate_slope
from digitcli.data.segmentation.viterbi import Found, SegmentedDigit

WEIGHTS = Classifier.load(BUNDLED)


def upright_bars(height: int = 60) -> np.ndarray:
    ink = np.zeros((height, 300), np.float32)
    for x in range(60, 240, 40):
        ink[5:-5, x : x + 6] = 1
    return ink


def leaning(ink: np.ndarray, slope: float) -> np.ndarray:
    """Shears ink so that it leans to the right."""
    return np.ascontiguousarray(Shear(-slope, 1, len(ink)).apply(ink))


def leaning_row(text: str, slope: float, step: int = 60) -> Image.Image:
    """Draws a row of digits 60 pixels high that lean to the right, dark on white."""
    ink = np.zeros((120, step * len(text) + 120), np.float32)
    for i, digit in enumerate(text):
        drawn = np.asarray(draw_digit(int(digit), size=80), np.float32) / 255
        place = ink[20:100, 60 + step * i : 140 + step * i]
        np.maximum(place, 1 - drawn, out=place)
    return Image.fromarray(np.uint8(255 - 255 * leaning(ink, slope)))


@pytest.mark.parametrize("slope", [-0.3, 0, 0.2, 0.5, 0.7])
def test_the_slope_of_bars_is_found(slope: float) -> None:
    assert estimate_slope(leaning(upright_bars(), slope)) == pytest.approx(slope, abs=0.06)


@pytest.mark.parametrize(("slope", "scale"), [(0.4, 1), (-0.3, 1), (0.5, 3), (0.0, 2)])
def test_places_are_those_of_the_image(slope: float, scale: int) -> None:
    ink = np.zeros((50, 80), np.float32)
    ink[12:15, 40:43] = 1
    shear = Shear(slope, scale, len(ink))
    rows, columns = np.nonzero(shear.apply(ink) > 0.5)
    x, y = shear.original(columns, rows)
    assert (x.mean(), y.mean()) == pytest.approx((41.5, 13.5), abs=0.6)


def test_upright_digits_have_the_boxes_of_the_image() -> None:
    page = as_grey(leaning_row("2385", 0.5))
    segments = segment(separate(page, None), Way())
    upright = segment(make_upright(separate(page, None)), Way(upright=True))
    assert upright.writing.shear != NO_SHEAR
    boxes = [upright.original_box(i, i + 1) for i in range(len(upright))]
    assert np.abs(np.array(boxes) - segments.boxes).max() <= 3


def test_small_digits_are_enlarged() -> None:
    separated = separate(as_grey(leaning_row("2385", 0.5).resize((120, 40))), None)
    assert make_upright(separated).shear.scale > 1


@pytest.mark.parametrize("text", ["23845", "80352"])
def test_a_leaning_row_is_read(text: str) -> None:
    assert WEIGHTS.read(leaning_row(text, 0.6)).text == text


def test_the_polarity_of_a_way_holds_where_the_border_is_uneven() -> None:
    page = np.full((60, 300), 0.8, np.float32)
    page[:6, 100:] = 0.3
    page[20:50, 40:280:40] = 0.5
    page[20:50, 41:281:40] = 0.5
    ink = separate(page, darker=True).ink
    assert ink[20:50, 40:280:40].min() > 0.5
    assert ink[30:50, 60:280:40].max() < 0.1


@pytest.mark.parametrize(("cost", "sure"), [(-0.5, True), (0.66, False)])
def test_a_reading_of_unusual_cuts_and_shapes_is_doubtful(cost: float, sure: bool) -> None:
    share = np.full(10, 0.03)
    share[3] = 0.73
    digit = SegmentedDigit(np.zeros((28, 28), np.uint8), share, Box(0, 0, 20, 40), 0)
    assert is_sure(Found([digit], cost)) == sure
