"""Digits of an image of several that are not read: small, faint, or lost in another way."""

import pytest
from drawn_digits import draw_digit
from paths import BUNDLED
from PIL import Image, ImageDraw

from digitcli import Classifier

WEIGHTS = Classifier.load(BUNDLED)
Place = tuple[int, int]


def page_of(text: str, *others: tuple[int, Place, int, int]) -> Image.Image:
    """Draws a row of digits 60 pixels high, and further ones at a place, in a size and ink."""
    page = Image.new("L", (700, 400), 255)
    row = [(int(digit), (140 + 90 * i, 160), 80, 0) for i, digit in enumerate(text)]
    for digit, place, size, ink in (*row, *others):
        page.paste(draw_digit(digit, size=size, ink=ink, paper=255), place)
    return page


def noted(page: Image.Image) -> tuple[str, int]:
    found = WEIGHTS.read(page)
    return found.text, found.left_out


@pytest.mark.parametrize("digit", [2, 3, 5, 8])
def test_a_faint_digit_above_the_row_is_warned_of(digit: int) -> None:
    faint = (digit, (300, 40), 80, 185)
    assert noted(page_of("2385", faint)) == ("2385", 1)


def test_a_row_much_smaller_than_the_others_is_warned_of() -> None:
    small = [(digit, (260 + 30 * i, 20), 24, 0) for i, digit in enumerate((2, 3, 5))]
    page = page_of("", *[(d, (60 + 210 * i, 120), 260, 0) for i, d in enumerate((8, 3))], *small)
    text, left_out = noted(page)
    assert text == "83"
    assert left_out == 3


def test_dots_specks_and_lines_are_not_warned_of() -> None:
    page = page_of("2385")
    drawing = ImageDraw.Draw(page)
    for i in range(8):
        drawing.ellipse((60 + 70 * i, 300, 66 + 70 * i, 306), fill=0)
    drawing.line((150, 270, 460, 274), fill=0, width=4)
    drawing.rectangle((215, 215, 221, 228), fill=0)
    assert noted(page) == ("2385", 0)


def test_shadows_are_not_warned_of() -> None:
    page = page_of("2385", *[(d, (120 + 90 * d, 40), 80, 235) for d in (2, 3, 5)])
    assert noted(page) == ("2385", 0)
