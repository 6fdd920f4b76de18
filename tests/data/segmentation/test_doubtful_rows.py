"""Rows in pictures that show more than digits, and rows that are read in several ways."""

import numpy as np
import pytest
from drawn_digits import as_grey, draw_digit
from paths import BUNDLED
from PIL import Image, ImageDraw

from digitcli import Box, Classifier, PlacedDigit, Prediction, Reading
from digitcli.data.segmentation.faint_ink import strengthen_faint_digits
from digitcli.data.segmentation.oversegment import Way, oversegment
from digitcli.data.segmentation.surroundings import dilated, weighted_median
from digitcli.data.segmentation.text_lines import find_rows

WEIGHTS = Classifier.load(BUNDLED)

SEGMENTS = {"1": "bc", "2": "abged", "4": "fgbc", "5": "afgcd", "7": "abc", "0": "abcdef"}
"""Segments of digits: a at the top, b to f clockwise, g in the middle."""


def page_of(text: str, *, step: int = 70, rise: int = 0) -> Image.Image:
    """Draws a row of digits, dark on white, each ``rise`` pixels above the one before."""
    page = Image.new("L", (600, 400), 255)
    for i, digit in enumerate(text):
        place = (140 + step * i, 160 - rise * i)
        page.paste(0, place, Image.eval(draw_digit(int(digit), size=80), lambda level: 255 - level))
    return page


def seven_segments(text: str) -> Image.Image:
    """Draws a meter's digits 80 pixels high, with gaps of 6 pixels between the segments."""
    page = Image.new("L", (80 * len(text) + 40, 130), 255)
    drawing = ImageDraw.Draw(page)
    for i, digit in enumerate(text):
        x, y = 40 + 80 * i, 25
        boxes = {
            "a": (x + 9, y, x + 31, y + 6),
            "b": (x + 34, y + 9, x + 40, y + 34),
            "c": (x + 34, y + 46, x + 40, y + 71),
            "d": (x + 9, y + 74, x + 31, y + 80),
            "e": (x, y + 46, x + 6, y + 71),
            "f": (x, y + 9, x + 6, y + 34),
            "g": (x + 9, y + 37, x + 31, y + 43),
        }
        for name in SEGMENTS[digit]:
            drawing.rectangle(boxes[name], fill=0)
    return page


def reading(left_out: int = 0, *, turned: bool = False) -> Reading:
    share = {name: float(name == "3") for name in "0123456789"}
    prediction = Prediction("3", 1.0, share, None, 0, np.zeros((28, 28), np.uint8))
    digit = PlacedDigit(prediction, Box(0, 0, 1, 1), 0)
    return Reading((digit, digit), left_out, turned)


@pytest.mark.parametrize(
    "shape",
    [
        [(0, 0), (5, 0), (2, 240), (0, 240)],
        [(594, 250), (599, 250), (599, 399), (596, 399)],
        [(0, 330), (599, 350), (599, 399), (0, 399)],
        [(0, 0), (120, 0), (0, 90)],
        [(0, 0), (60, 0), (50, 399), (0, 399)],
    ],
    ids=["sliver on the left", "sliver at the right", "table", "corner", "table on the left"],
)
def test_what_surrounds_a_page_is_not_a_digit(shape: list[tuple[int, int]]) -> None:
    page = page_of("2385")
    ImageDraw.Draw(page).polygon(shape, fill=30)
    found = WEIGHTS.read(page)
    assert (found.text, found.warning) == ("2385", None)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("inset", [0, 15])
def test_the_frame_of_a_screen_is_not_a_digit(width: int, inset: int) -> None:
    page = page_of("2385")
    ImageDraw.Draw(page).rectangle((inset, inset, 599 - inset, 399 - inset), None, 90, width)
    assert WEIGHTS.read(page).text == "2385"


def test_a_one_at_the_border_of_a_tight_row_is_a_digit() -> None:
    page = page_of("1381", step=55)
    left, top, right, bottom = Image.eval(page, lambda level: 255 - level).getbbox() or (0,) * 4
    for tight in (page.crop((left, top, right, bottom)), page.crop((left, 0, right, 400))):
        for image in (tight, Image.eval(tight, lambda level: 255 - level)):
            text = WEIGHTS.read(image).text
            assert text[1:3] == "38"
            assert len(text) == 4


@pytest.mark.parametrize("rise", [40, -40])
def test_a_diagonal_row_is_one_row(rise: int) -> None:
    found = WEIGHTS.read(page_of("2385", rise=rise))
    assert found.text == "2385"
    assert {digit.row for digit in found.digits} == {0}


def test_rows_below_each_other_are_not_one_diagonal() -> None:
    above = [[x, 0, x + 30, 50] for x in (0, 40, 80)]
    below = [[x, 80, x + 30, 130] for x in (120, 160, 200)]
    assert find_rows(np.array(above + below), 50).tolist() == [0, 0, 0, 1, 1, 1]
    assert find_rows(np.array([[0, 0, 30, 50], [10, 80, 40, 130]]), 50).tolist() == [0, 1]


def test_a_light_digit_beside_dark_ones() -> None:
    page = page_of("2385")
    light = Image.eval(draw_digit(8, size=80), lambda level: 195 + level * 60 // 255)
    page.paste(light, (280, 160))
    assert WEIGHTS.read(page).text == "2385"


def test_faint_ink_in_no_row_or_near_dark_ink_stays_faint() -> None:
    ink = np.zeros((200, 300), np.float32)
    ink[50:110, 50:60] = 1
    boxes = np.array([[50, 50, 60, 110]])
    for place in (np.s_[130:190, 90:100], np.s_[50:110, 61:71], np.s_[50:110, 292:300]):
        faint = ink.copy()
        faint[place] = 0.2
        assert strengthen_faint_digits(faint, ink > 0, boxes, 60, 10) is None
    faint = ink.copy()
    faint[50:110, 90:100] = 0.2
    found = strengthen_faint_digits(faint, ink > 0, boxes, 60, 10)
    assert found is not None
    assert found[1].sum() == 600
    assert found[0][50:110, 90:100].min() == 1


@pytest.mark.parametrize("text", ["14", "2075", "4112"])
def test_the_segments_of_a_meter_are_joined_to_digits(text: str) -> None:
    grey = as_grey(seven_segments(text))
    segments = oversegment(grey, Way(bridged=1.4))
    assert len(segments) == len(text)
    assert segments.rows.tolist() == [0] * len(text)


def test_a_row_turned_by_a_quarter_is_warned_of() -> None:
    found = WEIGHTS.read(page_of("2354").transpose(Image.Transpose.ROTATE_90))
    assert found.warning is not None


@pytest.mark.parametrize(
    ("answer", "warning"),
    [
        (reading(), None),
        (reading(1), "a shape is not read that could be a digit"),
        (reading(2), "2 shapes are not read that could be digits"),
        (reading(turned=True), "the image seems to be turned by a quarter"),
    ],
)
def test_what_is_not_read_is_warned_of(answer: Reading, warning: str | None) -> None:
    assert answer.warning == warning


def test_dilated() -> None:
    mask = np.zeros((5, 6), dtype=bool)
    mask[1, 4] = True
    expected = np.zeros_like(mask)
    expected[0:3, 3:6] = True
    assert np.array_equal(dilated(mask, 1), expected)


def test_weighted_median() -> None:
    assert weighted_median(np.array([3, 1, 2]), np.array([1.0, 1.0, 5.0])) == 2
