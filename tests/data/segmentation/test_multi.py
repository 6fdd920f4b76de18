"""``predict --multi`` and ``Classifier.read``: images of several digits."""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Run, Start
from drawn_digits import draw_digit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from paths import BUNDLED
from PIL import Image, ImageChops, ImageDraw, ImageFont
from read_page import check_page, read_page

from digitcli import (
    BlankPictureError,
    Box,
    Classifier,
    PictureError,
    PlacedDigit,
    Prediction,
    Reading,
)
from digitcli.console.prediction import ReadingDisplay
from digitcli.core.checkpointing.checkpoint import Checkpoint, save_checkpoint
from digitcli.data.images.grayscale import read_gray
from digitcli.data.segmentation.cut_candidates import find_cut_candidates
from digitcli.data.segmentation.oversegment import oversegment
from digitcli.data.segmentation.viterbi import find_digits
from digitcli.report.drawings import Mark, draw_marks

SIDE = 64

BUNDLED_WEIGHTS = Classifier.load(BUNDLED)
"""The bundled weights, trained on non-digits too."""


@pytest.fixture
def classifier(checkpoint: Path) -> Classifier:
    return Classifier.load(checkpoint)


def strip_of(text: str, *, step: int = 44, sizes: Sequence[int] = (SIDE,)) -> Image.Image:
    """Draws digits side by side, dark on white; ``step`` is the distance from one to the next."""
    page = Image.new("L", (step * (len(text) - 1) + 100, 120), 255)
    for i, digit in enumerate(text):
        size = sizes[i % len(sizes)]
        drawn = draw_digit(int(digit), size=size)
        place = (18 + step * i + (SIDE - size) // 2, 28 + (SIDE - size) // 2)
        page.paste(
            ImageChops.darker(page.crop((*place, place[0] + size, place[1] + size)), drawn), place
        )
    return page


def extent(picture: Image.Image) -> Box:
    """Returns the box around what is dark."""
    box = picture.convert("L").point(lambda level: 255 * (level < 128)).getbbox()
    assert box is not None
    return Box(*box)


def near(box: Box, other: Box, tolerance: int) -> bool:
    return max(abs(a - b) for a, b in zip(box, other, strict=True)) <= tolerance


def saved(picture: Image.Image, name: str = "strip.png") -> str:
    picture.save(name)
    return name


def texts(reading: Reading) -> list[str]:
    return [digit.prediction.label for digit in reading.digits]


# Classifier.read


@pytest.mark.parametrize("text", ["42", "9021", "31415926", "77", "11", "00"])
def test_digits_side_by_side(classifier: Classifier, text: str) -> None:
    reading = classifier.read(strip_of(text))
    assert reading.text == "".join(texts(reading)) == text
    product = np.prod([digit.prediction.probability for digit in reading.digits])
    assert reading.probability == pytest.approx(product)
    assert [digit.row for digit in reading.digits] == [0] * len(text)


def test_each_digit_is_prepared_as_if_it_were_alone(classifier: Classifier) -> None:
    strip = strip_of("5073")
    for i, digit in enumerate(classifier.read(strip).digits):
        left = 18 + 44 * i - 2
        alone = strip.crop((left, 0, left + SIDE + 4, strip.height))
        alone.paste(255, (0, 0, digit.box.left - left - 1, strip.height))
        alone.paste(255, (digit.box.right - left + 1, 0, alone.width, strip.height))
        expected = classifier.predict(alone)
        assert digit.prediction.label == expected.label
        assert np.abs(digit.prediction.picture - expected.picture.astype(float)).max() <= 3


def test_light_on_dark_and_other_sizes(classifier: Classifier) -> None:
    strip = strip_of("8250", sizes=(64, 48, 56))
    assert classifier.read(ImageChops.invert(strip)).text == "8250"
    assert classifier.read(strip.resize((strip.width * 3, strip.height * 3))).text == "8250"


def test_boxes_are_where_the_digits_are(classifier: Classifier) -> None:
    page = Image.new("L", (260, 120), 255)
    boxes = []
    for i, digit in enumerate((3, 8, 6)):
        drawn = draw_digit(digit)
        page.paste(drawn, (20 + 75 * i, 25))
        left, top, right, bottom = extent(drawn)
        boxes.append(Box(20 + 75 * i + left, 25 + top, 20 + 75 * i + right, 25 + bottom))
    found = [digit.box for digit in classifier.read(page).digits]
    assert all(near(box, other, 2) for box, other in zip(found, boxes, strict=True))


def test_boxes_are_in_pixels_of_the_upright_image(classifier: Classifier) -> None:
    page = strip_of("36").resize((3600, 3000))  # it will be downscaled
    expected = [digit.box for digit in classifier.read(strip_of("36")).digits]
    turned = page.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # to be rotated for display
    file = io.BytesIO()
    turned.save(file, "PNG", exif=turned.getexif())
    for picture in (page, turned, file.getvalue(), np.asarray(page)):
        found = [digit.box for digit in classifier.read(picture).digits]
        assert len(found) == 2
        for box, small in zip(found, expected, strict=True):
            large = Box(small.left * 25, small.top * 25, small.right * 25, small.bottom * 25)
            assert near(box, large, 60)


@pytest.mark.parametrize("size", [(1440, 1200), (2885, 2401), (4320, 3600)])
def test_boxes_of_a_photo_are_in_its_own_pixels(
    classifier: Classifier, size: tuple[int, int]
) -> None:
    page = strip_of("36").resize(size)
    turned = page.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated for display
    page.save("upright.jpg", quality=90)  # the larger ones are decoded at reduced size
    turned.save("turned.jpg", quality=90, exif=exif)
    middle = size[0] // 2
    expected = extent(page.crop((0, 0, middle, size[1]))), extent(page.crop((middle, 0, *size)))
    for name in ("upright.jpg", "turned.jpg"):
        first, second = (digit.box for digit in classifier.read(name).digits)
        assert near(first, expected[0], 25)
        moved = Box(second.left - middle, second.top, second.right - middle, second.bottom)
        assert near(moved, expected[1], 25)


def test_boxes_within_padding(classifier: Classifier) -> None:
    inner = strip_of("47").point(lambda level: level * 3 // 4)  # with its own background
    outer = Image.new("L", (inner.width + 90, inner.height + 50), 255)
    outer.paste(inner, (70, 20))
    pairs = zip(classifier.read(inner).digits, classifier.read(outer).digits, strict=True)
    for alone, padded in pairs:
        box = alone.box
        moved = Box(box.left + 70, box.top + 20, box.right + 70, box.bottom + 20)
        assert near(padded.box, moved, 1)


def test_rows_from_top_to_bottom(classifier: Classifier) -> None:
    page = Image.new("L", (330, 330), 255)
    for row, text in enumerate(("123", "45678", "90")):
        page.paste(strip_of(text), (0, 100 * row))
    reading = classifier.read(page)
    assert reading.text == "1234567890"
    assert [digit.row for digit in reading.digits] == [0] * 3 + [1] * 5 + [2] * 2


def test_a_row_that_rises(classifier: Classifier) -> None:
    page = Image.new("L", (500, 240), 255)
    for i, digit in enumerate("270685"):
        page.paste(draw_digit(int(digit)), (20 + 75 * i, 160 - 10 * i))
    assert classifier.read(page).text == "270685"


def test_digits_that_reach_over_each_other() -> None:
    page = Image.new("L", (220, 140), 255)
    for x in (20, 40, 60):
        drawn = draw_digit(1, size=100, angle=-25)
        page.paste(ImageChops.darker(page.crop((x, 20, x + 100, 120)), drawn), (x, 20))
    boxes = [digit.box for digit in BUNDLED_WEIGHTS.read(page).digits]
    assert len(boxes) == 3
    assert boxes[1].left < boxes[0].right  # no vertical line separates them


@pytest.mark.parametrize("text", ["25", "47", "84", "747"])
def test_digits_that_touch_are_separated(text: str) -> None:
    page, right = Image.new("L", (110 * len(text), 140), 255), 20
    for digit in text:
        drawn = draw_digit(int(digit), size=100)
        box = extent(drawn)
        place = (right - 3, 20, right - 3 + box.right - box.left, 120)
        part = drawn.crop((box.left, 0, box.right, 100))
        page.paste(ImageChops.darker(page.crop(place), part), place[:2])
        right = place[2]
    reading = BUNDLED_WEIGHTS.read(page)
    assert reading.text == text
    boxes = [digit.box for digit in reading.digits]
    assert [box.left for box in boxes] == sorted(box.left for box in boxes)


def test_a_separate_stroke_stays_with_its_digit(classifier: Classifier) -> None:
    strip = strip_of("355")
    ImageDraw.Draw(strip).rectangle((0, 48, strip.width, 49), 255)  # every digit has two components
    assert len(classifier.read(strip).digits) == 3


@pytest.mark.parametrize("wall", [1, 3])
def test_the_boxes_of_a_form(classifier: Classifier, wall: int) -> None:
    page = Image.new("L", (380, 150), 255)
    draw = ImageDraw.Draw(page)
    for i, digit in enumerate("60294"):
        page.paste(draw_digit(int(digit)), (33 + 64 * i, 43))
    for i in range(6):
        draw.line((30 + 64 * i, 38, 30 + 64 * i, 112), 0, wall)
    for y in (38, 112):
        draw.line((30, y, 350, y), 0, wall)
    assert classifier.read(page).text == "60294"


def test_dust_is_not_a_digit(classifier: Classifier) -> None:
    strip = strip_of("519")
    draw = ImageDraw.Draw(strip)
    for x, y in np.random.default_rng(0).uniform(3, 117, (20, 2)):
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=60)
    assert classifier.read(strip).text == "519"


def test_a_sliver_is_not_a_digit(classifier: Classifier) -> None:
    strip = strip_of("628")  # the rest of a box's wall
    ImageDraw.Draw(strip).line((120, 116, 175, 116), 0, 2)
    assert classifier.read(strip).text == "628"


def test_one_digit_stays_one(classifier: Classifier) -> None:
    for digit in range(10):
        for size in (40, 150, 400):
            reading = classifier.read(draw_digit(digit, size=size))
            assert reading.text == str(digit)
        expected = classifier.predict(draw_digit(digit))
        in_form = classifier.read(expected.picture)
        assert in_form.digits[0].prediction == expected
        assert np.array_equal(in_form.digits[0].prediction.picture, expected.picture)


@pytest.mark.parametrize("what", ["bars", "a bar", "hairlines", "checkerboard", "dots", "a fence"])
def test_the_work_on_other_patterns_than_writing_is_limited(what: str) -> None:
    page = np.ones((1000, 1000), np.float32)
    y, x = np.mgrid[:1000, :1000]
    inside = (abs(x - 500) < 480) & (abs(y - 500) < 480)
    ink = {
        "bars": y % 50 < 25,
        "a bar": abs(y - 500) < 15,
        "hairlines": y % 2 == 0,
        "checkerboard": (x // 24 + y // 24) % 2 == 0,
        "dots": (x % 40 < 20) & (y % 40 < 20),
        "a fence": (x % 4 < 2) & (y % 60 < 52) & (abs(y - 150) < 90),
    }[what]
    page[inside & ink] = 0
    classified: list[int] = []

    def classify(images: np.ndarray) -> np.ndarray:
        classified.append(len(images))
        return BUNDLED_WEIGHTS.probabilities(images)

    try:
        find_digits(oversegment(page), classify, BUNDLED_WEIGHTS.classes)
    except BlankPictureError:
        assert what == "hairlines"
    assert sum(classified) <= 8000
    assert max(classified, default=0) <= 256  # bounds memory use


@pytest.mark.parametrize(
    ("height", "width", "pen", "cut"),
    [(100, 22, 3, True), (100, 18, 3, False), (8, 16, 8, True), (7, 14, 7, False)],
)
def test_components_too_narrow_or_too_small_for_two_digits_are_not_cut(
    height: int, width: int, pen: int, cut: bool
) -> None:
    inner = np.zeros((height, width), np.float32)  # two bars, and one that joins them
    inner[:, pen:-pen] = 1
    inner[height // 2 : height // 2 + pen] = 0
    classified: list[int] = []

    def classify(images: np.ndarray) -> np.ndarray:
        classified.append(len(images))
        return np.full((len(images), 10), 0.1)

    found = find_digits(
        oversegment(np.pad(inner, 20, constant_values=1)), classify, BUNDLED_WEIGHTS.classes
    )
    assert (sum(classified) > 1) is cut  # slices are classified besides the whole
    assert cut or len(found.digits) == 1


@pytest.mark.parametrize(("height", "width"), [(20, 400), (28, 280), (40, 100)])
def test_the_number_of_cuts_of_a_bar_depends_on_its_length(height: int, width: int) -> None:
    cuts = find_cut_candidates(np.ones((height, width), np.float32), height / 2, height)
    assert len(cuts) == np.ceil(5 * width / height)  # there is space for many more


def slanting_specks() -> np.ndarray:
    """Returns an image whose ink, made upright, was wider than the image by a pixel."""
    image = np.zeros((28, 32), np.uint8)
    image[0, 0], image[17, 22], image[21, 21] = 40, 250, 250
    image[[8, 9, 9, 11, 16, 19], [9, 0, 20, 6, 17, 31]] = 128
    return image


def upright_specks() -> np.ndarray:
    """Returns an image whose rows are one below the other, with no line of a slope through them."""
    image = np.full((19, 1), 255, np.uint8)
    image[[1, 3, 9, 11, 13]] = 128
    return image


@given(
    hnp.arrays(
        np.uint8,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
        elements=st.sampled_from([0, 40, 128, 250, 255]),
        fill=st.sampled_from([0, 255]),
    )
)
@example(slanting_specks())
@example(upright_specks())
@settings(max_examples=150)
def test_any_image_has_digits_inside_or_is_blank(grey: np.ndarray) -> None:
    try:
        reading = BUNDLED_WEIGHTS.read(grey)
    except BlankPictureError:
        return
    height, width = grey.shape
    for digit in reading.digits:
        left, top, right, bottom = digit.box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_many_images_in_order_with_errors_in_their_places(classifier: Classifier) -> None:
    names = [saved(strip_of(text), f"{text}.png") for text in ("12", "345", "6789")]
    names[1:1] = ["missing.png", saved(Image.new("L", (50, 50), 200), "blank.png")]
    answers = list(classifier.read_many(names))
    assert [a.text for a in answers if isinstance(a, Reading)] == ["12", "345", "6789"]
    assert isinstance(answers[1], PictureError)
    assert str(answers[1]).startswith("missing.png: cannot be read")
    assert isinstance(answers[2], BlankPictureError)
    with pytest.raises(BlankPictureError):
        classifier.read("blank.png")
    with pytest.raises(TypeError):
        list(classifier.read_many("12.png"))


def page_of_squares(rows: int) -> Image.Image:
    """Draws 32 small squares in each row, and dust between them."""
    page = np.full((1000, 1000), 255, np.uint8)
    for top in range(10, 10 + 30 * rows, 30):
        for left in range(10, 970, 30):
            page[top : top + 14, left : left + 14] = 0
            page[top + 22, left + 22] = 0
    return Image.fromarray(page)


# The command


@pytest.mark.usefixtures("checkpoint")
def test_a_line_with_each_probability(run: Run) -> None:
    result = run("predict", "--multi", saved(strip_of("907")))
    assert result.exit_code == 0
    path, text, whole, *each = result.stdout.rstrip("\n").split("\t")
    assert (path, text, len(each)) == ("strip.png", "907", 3)
    assert float(whole) == pytest.approx(np.prod([float(share) for share in each]), abs=1e-3)
    assert run("predict", "--multi", "--quiet", "strip.png").stdout == "907\n"


@pytest.mark.usefixtures("checkpoint")
def test_json(run: Run, classifier: Classifier) -> None:
    value = json.loads(run("predict", "--multi", "--json", saved(strip_of("58"))).stdout)
    assert list(value) == [
        "path",
        "text",
        "probability",
        "digits",
        "warning",
        "checkpoint",
        "error",
    ]
    assert (value["path"], value["text"]) == ("strip.png", "58")
    reading = classifier.read("strip.png")
    assert value["probability"] == reading.probability
    for reported, digit in zip(value["digits"], reading.digits, strict=True):
        assert reported == {
            "digit": int(digit.prediction.label),
            "probability": digit.prediction.probability,
            "probabilities": list(digit.prediction.probabilities.values()),
            "box": list(digit.box),
            "row": 0,
            "warning": digit.prediction.warning,
        }


@pytest.mark.usefixtures("checkpoint")
def test_digits_below_the_minimum_are_question_marks(run: Run, classifier: Classifier) -> None:
    shares = [d.prediction.probability for d in classifier.read(strip_of("2368")).digits]
    saved(strip_of("2368"))
    between = sorted(shares)[1]  # the least sure digit is below it, the others are not
    expected = "".join("?" if p < between else d for p, d in zip(shares, "2368", strict=True))
    assert expected.count("?") == 1
    result = run("predict", "--multi", "-q", "strip.png", "--min-probability", between)
    assert (result.exit_code, result.stdout) == (1, f"{expected}\n")
    reported = json.loads(
        run("predict", "--multi", "--json", "strip.png", "--min-probability", between).stdout
    )
    assert reported["text"] == expected
    assert [d["digit"] for d in reported["digits"]] == [int(c) if c != "?" else c for c in expected]
    assert (
        run("predict", "--multi", "-q", "strip.png", "--min-probability", min(shares)).exit_code
        == 0
    )


@pytest.mark.usefixtures("checkpoint")
def test_non_digits_are_warned_of(run: Run) -> None:
    page = strip_of("123")
    ImageDraw.Draw(page).rectangle((62, 40, 104, 100), 0)
    result = run("predict", "--multi", saved(page))
    assert result.exit_code == 0
    assert "strip.png: of 3 shapes, number 2 does not look like a digit\n" in result.stderr


def reading_of(doubtful: Sequence[int], count: int, classes: str = "0123456789") -> Reading:
    shares = dict.fromkeys(classes, 1 / len(classes))
    nothing = np.zeros((28, 28), np.uint8)
    warnings = ["it is odd" if i in doubtful else None for i in range(1, count + 1)]
    predictions = (Prediction(classes[0], 1.0, shares, why, 0, nothing) for why in warnings)
    return Reading(tuple(PlacedDigit(p, Box(0, 0, 1, 1), 0) for p in predictions))


@pytest.mark.parametrize(
    ("doubtful", "reported"),
    [
        ([10], "number 10 does not look like a digit"),
        ([3, 4], "numbers 3 and 4 do not look like digits"),
        (range(2, 10), "numbers 2 to 9 do not look like digits"),
        ([1, 4, 5, 6, 9], "numbers 1, 4 to 6 and 9 do not look like digits"),
        ([], None),
    ],
)
def test_doubtful_digits_are_listed_briefly(doubtful: Sequence[int], reported: str | None) -> None:
    warning = reading_of(doubtful, 10).warning
    assert warning == (reported and f"of 10 shapes, {reported}")


def test_a_warning_is_short_and_names_the_kind_of_doubt() -> None:
    assert reading_of([1], 1).warning == "it is odd"
    every_other = "1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 40 more"
    assert reading_of(range(1, 100, 2), 100).warning == (
        f"of 100 shapes, numbers {every_other} do not look like digits"
    )
    letters = reading_of([2], 4, "ABC").warning, reading_of([2, 3, 4], 4, "ABC").warning
    assert letters == (
        "of 4 shapes, the answer to number 2 is unsure",
        "of 4 shapes, the answers to numbers 2 to 4 are unsure",
    )


@pytest.mark.usefixtures("checkpoint")
def test_folders_lists_and_pipes(run: Run) -> None:
    Path("scans").mkdir()
    saved(strip_of("11"), "scans/a.png")
    saved(strip_of("234"), "scans/b.png")
    Path("scans/readme.txt").write_text("no picture")
    Path("list").write_text("scans/b.png\nmissing.png\n")
    content = Path("scans/a.png").read_bytes()
    result = run("predict", "--multi", "-q", "scans", "-", "--files-from", "list", input=content)
    assert result.exit_code == 1
    assert result.stdout.split() == ["11", "234", "11", "234"]
    assert result.stderr.count("missing.png") == 1
    blank = saved(Image.new("L", (50, 50), 200), "blank.png")
    assert run("predict", "--multi", blank).exit_code == 1
    assert run("predict", "--multi", "missing.png").exit_code == 2


@pytest.mark.usefixtures("checkpoint")
def test_a_failure_is_a_line_of_json(run: Run) -> None:
    saved(strip_of("50"), "a.png")
    Path("b.png").write_bytes(b"junk")
    saved(strip_of("81"), "c.png")
    result = run("predict", "--multi", "--json", "a.png", "b.png", "c.png")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["text"] for line in lines] == ["50", None, "81"]
    assert lines[1] | {"checkpoint": None} == dict.fromkeys(lines[0]) | {
        "path": "b.png",
        "error": "not an image",
    }
    small = run("predict", "--multi", "a.png", "--max-pixels", "99")
    assert (small.exit_code, small.stdout) == (2, "")
    assert "more than 99" in small.stderr


@pytest.mark.usefixtures("checkpoint")
def test_too_many_shapes_are_an_error(run: Run) -> None:
    within = np.asarray(page_of_squares(31), np.float32) / np.float32(255)
    assert len(oversegment(within)) == 31 * 32  # without the dust
    result = run("predict", "--multi", "--json", saved(page_of_squares(32)))
    assert result.exit_code == 2
    reported = "the image has more than 1,000 separate shapes"
    record = json.loads(result.stdout)
    assert (record["path"], record["text"], record["error"]) == ("strip.png", None, reported)
    assert f"error: strip.png: {reported}; split it into several images" in result.stderr


@pytest.mark.usefixtures("checkpoint")
def test_the_report_shows_the_least_sure_digits(run: Run) -> None:
    name, content = saved(strip_of("31415926")), io.BytesIO()
    strip_of("314159265358", step=50).save(content, "PNG")
    flags = ("--multi", "--json", "--min-probability", "0.2", "--report", "report.html")
    result = run("predict", *flags, name, "-", "missing.png", input=content.getvalue())
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    page = read_page(Path("report.html"))
    check_page(page)
    cards = page.one("ol", "gallery").all("li", "card")
    heads = [card.one("h3").text for card in cards]
    assert heads == [f"{answers[0]['text']} · {name}", f"{answers[1]['text']} · -", "missing.png"]
    for card, answer in zip(cards, answers[:2], strict=False):
        assert f"{100 * answer['probability']:.2f} % that all are right" in card.text
        reported = [
            (row.one("th").text, row.all("td")[1].text) for row in card.one("tbody").all("tr")
        ]
        expected = [(str(d["digit"]), f"{100 * d['probability']:.2f} %") for d in answer["digits"]]
        least = sorted(d["probability"] for d in answer["digits"])[:10]
        sure = [d["probability"] <= least[-1] for d in answer["digits"]]
        assert reported == [row for row, shown in zip(expected, sure, strict=True) if shown]
    assert cards[0].all("img")[1].picture().shape == (84, 84)  # eight in three rows of three
    assert "the least sure" in cards[1].text
    assert "one by one" in cards[0].text


def test_probabilities_below_one_are_shown_below_one_everywhere(
    run: Run, trained: Checkpoint, checkpoint: Path
) -> None:
    sharper = replace(trained.metadata, temperature=0.4)
    save_checkpoint(checkpoint, replace(trained, metadata=sharper))
    flags = ("--multi", saved(strip_of("64")), "--report", "report.html", "--show-steps", "s.png")
    result = run("predict", *flags)
    assert result.stdout == "strip.png\t64\t0.9999\t0.9999\t0.9999\n"
    reading = Classifier.load(checkpoint).read("strip.png")
    shares = [reading.probability, *(digit.prediction.probability for digit in reading.digits)]
    assert all(0.99995 < share < 1 for share in shares)  # they would be rounded to 1
    page = read_page(Path("report.html"))
    assert "99.99 % that all are right" in page.one("li", "card").text
    assert [row.all("td")[1].text for row in page.one("tbody").all("tr")] == ["99.99 %"] * 2
    marks = [
        Mark(digit.box, f"{text} 99.99%", digit.prediction.picture)
        for text, digit in zip("64", reading.digits, strict=True)
    ]
    long = [mark._replace(caption="the long name of a class 99.99%") for mark in marks]
    wide = draw_marks(read_gray(Path("strip.png")), (100, 100), long)
    font = ImageFont.load_default(15)
    assert wide.width >= 4 * font.getlength(
        "1: the long name of a class 99.99%"
    )  # none is over another
    expected = draw_marks(read_gray(Path("strip.png")), strip_of("64").size, marks)
    with Image.open("s.png") as drawing:
        assert np.array_equal(np.asarray(drawing), np.asarray(expected))


@pytest.mark.usefixtures("checkpoint")
def test_top_is_for_one_digit(run: Run) -> None:
    result = run("predict", "--multi", "--top", "3", saved(strip_of("11")))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--multi and --top exclude each other" in result.stderr


@pytest.mark.usefixtures("checkpoint")
def test_the_boxes_are_drawn(run: Run) -> None:
    plain = run("predict", "--multi", saved(strip_of("64")))
    shown = run("predict", "--multi", "strip.png", "--show-steps", "places.png")
    assert (shown.exit_code, shown.stdout) == (0, plain.stdout)
    assert shown.stderr == f"{plain.stderr}digitcli: wrote the drawing places.png\n"
    reported = json.loads(run("predict", "--multi", "--json", "strip.png").stdout)
    with Image.open("places.png") as drawing:
        red = np.asarray(drawing.convert("RGB")).astype(int)
    marked = (red[:, :, 0] > 200) & (red[:, :, 1] < 100)
    factor = 600 / 144
    for digit in reported["digits"]:
        left, top, right, bottom = (12 + round(side * factor) for side in digit["box"])
        assert marked[top + 20 : bottom, left - 1].all()
        assert marked[bottom, left:right].all()
    Path("places.png").unlink()
    saved(Image.new("L", (50, 50), 200), "blank.png")
    assert run("predict", "--multi", "blank.png", "--show-steps", "places.png").exit_code == 1
    assert Path("places.png").exists()
    Path("places.png").unlink()
    assert run("predict", "--multi", "missing.png", "--show-steps", "places.png").exit_code == 2
    assert not Path("places.png").exists()


@pytest.mark.usefixtures("checkpoint")
def test_a_file_that_changes_after_the_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    show = ReadingDisplay.show

    def then(change: Callable[[], object]) -> None:
        def both(self: ReadingDisplay, path: str, answer: Reading) -> None:
            show(self, path, answer)
            change()

        monkeypatch.setattr(ReadingDisplay, "show", both)

    then(lambda: saved(Image.new("L", (144, 120), 255)))
    assert run("predict", "--multi", saved(strip_of("64")), "--show-steps", "a.png").exit_code == 0
    with Image.open("a.png") as drawing:
        red = np.asarray(drawing.convert("RGB")).astype(int)
    assert ((red[:, :, 0] > 200) & (red[:, :, 1] < 100)).any()  # the reported digits are drawn

    then(Path("strip.png").unlink)
    gone = run("predict", "--multi", saved(strip_of("64")), "--show-steps", "b.png")
    assert gone.exit_code == 2
    assert gone.stdout.startswith("strip.png\t64\t")
    assert gone.stderr.splitlines()[1:] == [
        "digitcli: error: strip.png: cannot be read: No such file or directory; "
        "check the path and its permissions"
    ]
    assert not Path("b.png").exists()


def on_terminal(program: list[str], *arguments: str) -> list[str]:
    """Returns the lines that a command leaves on a terminal, below that of the weights."""
    pytest.importorskip("pty", reason="pseudo-terminals are POSIX")
    from terminal import run_on_terminal

    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    screen = run_on_terminal([*program, *arguments], columns=200, environment=environment)
    assert screen.code == 0, screen.lines
    return screen.lines[1:]


@pytest.mark.usefixtures("checkpoint")
def test_a_terminal_shows_rows_as_they_stand(program: list[str], start: Start) -> None:
    page = Image.new("L", (240, 230), 255)
    for row, text in enumerate(("58", "103")):
        page.paste(strip_of(text), (0, 100 * row))
    lines = on_terminal(program, "predict", "--multi", saved(page))
    assert lines[1] == "58"
    assert lines[2].startswith("103  ")
    assert start("predict", "--multi", "-q", "strip.png").stdout == "58103\n"


@pytest.mark.usefixtures("checkpoint")
def test_a_terminal_shows_the_inputs_of_the_network(program: list[str]) -> None:
    lines = on_terminal(program, "predict", "--multi", saved(strip_of("407")))
    assert lines[0] == "strip.png"
    assert lines[1].startswith("407  ")
    assert [word for word in lines[3].split() if "%" not in word] == ["4", "0", "7"]
    assert sum("█" in line or "▀" in line for line in lines) == 7
