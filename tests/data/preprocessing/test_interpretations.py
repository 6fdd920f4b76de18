"""Images whose preparation is in doubt: cut tight, beside a table, in a frame, among stripes."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from drawn_digits import as_grey, draw_digit
from paths import BUNDLED
from PIL import Image, ImageDraw, ImageOps

from digitcli import Classifier
from digitcli.core.errors import BlankPictureError
from digitcli.data.preprocessing.interpretations import interpret
from digitcli.data.preprocessing.mnist_form import prepare

Gray = npt.NDArray[np.float32]

WEIGHTS = Classifier.load(BUNDLED)


def cropped(digit: int, *, ink: int, paper: int, slack: int = 0) -> Gray:
    """A digit cut to its ink, but for some pixels on the right and below."""
    image = draw_digit(digit, size=200, ink=ink, paper=paper)
    box = ImageOps.invert(draw_digit(digit, size=200)).getbbox()
    assert box is not None
    left, top, right, bottom = box
    return as_grey(image.crop((left, top, right + slack, bottom + slack)))


def steps_of(gray: Gray) -> list[str]:
    names: list[str] = []
    interpret(gray, lambda name, _: names.append(name), classify=WEIGHTS.probabilities)
    return names


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (60, 170), (150, 40)])
@pytest.mark.parametrize("digit", [0, 2, 3, 5, 6, 8, 9])
def test_a_digit_cut_to_its_ink_is_read_in_both_polarities(
    digit: int, ink: int, paper: int
) -> None:
    answer = WEIGHTS.predict(cropped(digit, ink=ink, paper=paper))
    assert (answer.label, answer.warning) == (str(digit), None)


@pytest.mark.parametrize("slack", [10, 40])
def test_a_digit_at_two_borders_is_read(slack: int) -> None:
    assert WEIGHTS.predict(cropped(8, ink=255, paper=0, slack=slack)).label == "8"


def test_a_digit_that_fills_the_image_is_preferred_to_a_hole_in_it() -> None:
    gray = cropped(8, ink=255, paper=0)
    whole = prepare(np.pad(gray, 40)).image

    def classify(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        alike = (images == whole).mean(axis=(1, 2)) > 0.7
        return np.where(alike, 0.5, 0.99)[:, None]

    assert (interpret(gray, classify=classify).image == whole).all()


def test_a_sure_image_is_prepared_once() -> None:
    judged: list[int] = []

    def classify(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        judged.append(len(images))
        return WEIGHTS.probabilities(images)

    gray = as_grey(draw_digit(5, size=200, scale=0.5))
    assert (interpret(gray, classify=classify).image == prepare(gray).image).all()
    assert judged == [1]


def test_the_steps_name_the_interpretation() -> None:
    assert steps_of(as_grey(draw_digit(5, size=200, scale=0.5)))[0] == "image"
    assert "margin added" in steps_of(cropped(8, ink=255, paper=0))[0]


def test_the_steps_are_those_of_the_answer() -> None:
    gray = cropped(3, ink=255, paper=0)
    shown: list[tuple[str, npt.NDArray[np.generic]]] = []
    digit = WEIGHTS.prepare(gray, lambda name, image: shown.append((name, image)))
    assert shown[-1][0] == "MNIST form"
    assert (shown[-1][1] == digit.image).all()


def on_a_table(page: Image.Image) -> Image.Image:
    """A photo of a sheet whose edge crosses a corner; the table is dark."""
    ImageDraw.Draw(page).polygon([(0, 0), (page.width, 0), (page.width, 40), (0, 90)], fill=40)
    return page


def in_a_bezel(page: Image.Image) -> Image.Image:
    return ImageOps.expand(ImageOps.expand(page, 18, 60), 4, 200)


def beside_a_stripe(page: Image.Image) -> Image.Image:
    ImageDraw.Draw(page).rectangle((page.width - 40, 0, page.width - 28, page.height), fill=50)
    return page


@pytest.mark.parametrize("surroundings", [on_a_table, in_a_bezel, beside_a_stripe])
@pytest.mark.parametrize("digit", [2, 3, 5, 8])
def test_what_surrounds_a_digit_is_not_read(
    digit: int, surroundings: Callable[[Image.Image], Image.Image]
) -> None:
    page = draw_digit(digit, size=400, ink=70, paper=215, scale=0.35, shift=(0, 0.1))
    assert WEIGHTS.predict(surroundings(page)).label == str(digit)


@pytest.mark.parametrize("at", [60, 150])
def test_a_stripe_from_border_to_border_is_not_a_one(at: int) -> None:
    page = Image.new("L", (220, 180), 220)
    ImageDraw.Draw(page).rectangle((at, 0, at + 14, 180), fill=40)
    answer = WEIGHTS.predict(page)
    assert answer.warning is not None


def test_a_thin_stroke_across_ruled_lines_stays_whole() -> None:
    page = Image.new("L", (400, 300), 210)
    drawing = ImageDraw.Draw(page)
    for y in range(40, 300, 45):
        drawing.line((0, y, 400, y), fill=150, width=2)
    drawing.line((200, 75, 196, 230), fill=90, width=5)  # crosses three of them
    answer = WEIGHTS.predict(page)
    assert (answer.label, answer.warning) == ("1", None)


@pytest.mark.parametrize("digit", [0, 2, 5, 6])
def test_a_digit_in_a_frame_is_read_without_a_warning(digit: int) -> None:
    page = draw_digit(digit, size=200, scale=0.5)
    ImageDraw.Draw(page).rectangle((30, 25, 170, 175), outline=0, width=4)
    answer = WEIGHTS.predict(page)
    assert (answer.label, answer.warning) == (str(digit), None)


def test_an_image_in_mnist_form_is_not_interpreted() -> None:
    digit = prepare(as_grey(draw_digit(7))).image
    never = partial(pytest.fail, "the network was asked")
    assert (interpret(as_grey(Image.fromarray(digit)), classify=never).image == digit).all()


@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (3, 500), (27, 28), (40, 33), (70, 200)])
@pytest.mark.parametrize("seed", range(3))
def test_noise_of_any_size_is_prepared_or_blank(shape: tuple[int, int], seed: int) -> None:
    gray = np.random.default_rng(seed).random(shape, dtype=np.float32)
    try:
        first = prepare(gray)
    except BlankPictureError:
        with pytest.raises(BlankPictureError):
            WEIGHTS.prepare(gray)
    else:
        assert WEIGHTS.prepare(gray).image.shape == first.image.shape
