"""Pages of several digits, of which ``predict`` reads one or takes the table for it."""

import numpy as np
import pytest
from drawn_digits import as_grey, draw_digit
from paths import BUNDLED
from PIL import Image, ImageDraw

from digitcli import Classifier
from digitcli.core.errors import BlankPictureError
from digitcli.data.preprocessing.whole_digits import find_whole_digits

WEIGHTS = Classifier.load(BUNDLED)


def page_of(*digits: int, ink: int = 60) -> Image.Image:
    """Draws digits 60 pixels high in two columns on paper."""
    page = Image.new("L", (400, 500), 210)
    for i, digit in enumerate(digits):
        drawn = draw_digit(digit, size=80, ink=ink, paper=210)
        page.paste(drawn, (80 + 150 * (i % 2), 60 + 130 * (i // 2)))
    return page


def on_a_dark_table(page: Image.Image) -> Image.Image:
    """A sheet that lies askew: the dark table shows along two sides, as in a 7."""
    drawing = ImageDraw.Draw(page)
    width, height = page.size
    drawing.polygon([(0, 0), (width, 0), (width, 18), (0, 10)], fill=20)
    drawing.polygon([(width - 12, 0), (width, 0), (width, height), (width - 30, height)], fill=20)
    return page


@pytest.mark.parametrize("digits", [(2, 3), (5, 3, 2, 8), (2, 2, 2, 2, 2, 2)])
def test_whole_digits_are_counted(digits: tuple[int, ...]) -> None:
    gray = as_grey(page_of(*digits))
    assert len(find_whole_digits(gray, WEIGHTS.probabilities)) == len(digits)


def test_bars_and_other_shapes_are_not_counted() -> None:
    page = Image.new("L", (300, 300), 255)
    drawing = ImageDraw.Draw(page)
    for x in (60, 120, 180):
        drawing.rectangle((x, 80, x + 8, 160), fill=0)
    assert len(find_whole_digits(as_grey(page), WEIGHTS.probabilities)) == 0
    drawing.ellipse((60, 200, 120, 260), fill=0)
    drawing.rectangle((160, 200, 230, 260), fill=0)
    assert len(find_whole_digits(as_grey(page), WEIGHTS.probabilities)) == 0


def test_digits_at_the_border_are_not_counted() -> None:
    page = page_of(2, 3, 5, 8)
    gray = as_grey(page)[:, 115:]  # cuts the left ones
    assert len(find_whole_digits(gray, WEIGHTS.probabilities)) == 2


def test_a_blank_image_has_none() -> None:
    with pytest.raises(BlankPictureError):
        find_whole_digits(np.zeros((100, 100), np.float32), WEIGHTS.probabilities)


def test_leaning_bars_are_not_counted() -> None:
    page = Image.new("L", (300, 300), 255)
    for x in (60, 120, 180):
        ImageDraw.Draw(page).line((x + 40, 80, x, 160), fill=0, width=9)
    assert len(find_whole_digits(as_grey(page), WEIGHTS.probabilities)) == 0


@pytest.mark.parametrize("digits", [(2, 3), (5, 3, 2, 8), (2, 2, 2, 2, 2, 2)])
def test_digits_that_are_not_read_are_warned_of(digits: tuple[int, ...]) -> None:
    answer = WEIGHTS.predict(on_a_dark_table(page_of(*digits)))
    assert answer.others >= len(digits) - 1
    assert answer.warning is not None
