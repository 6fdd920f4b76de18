"""Warnings about images that do not look like one digit, and errors of blank ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Run
from drawn_digits import draw_digit, drawn_pictures, save_digit
from PIL import Image, ImageDraw

from digitcli.core.errors import BlankPictureError, NotAPictureError, PictureError
from digitcli.core.evaluation.ood import bar_tilt, ood_warning

DIGITS, _ = drawn_pictures(10, 1)


def side_by_side(path: str, *digits: int) -> None:
    page = Image.new("L", (64 * len(digits), 64), 255)
    for place, digit in enumerate(digits):
        page.paste(draw_digit(digit), (64 * place, 0))
    page.save(path)


def test_a_probable_answer_to_one_digit_has_no_warning() -> None:
    for digit in DIGITS:
        assert ood_warning(digit, 0, 0.9) is None
        assert ood_warning(digit, 0, 0.6) is None


def test_the_warnings() -> None:
    block = np.zeros((28, 28), np.uint8)
    block[4:24, 4:24] = 255
    assert "2 separate shapes" in (ood_warning(DIGITS[3], 1, 0.99) or "")
    assert "5 separate shapes" in (ood_warning(DIGITS[3], 4, 0.99) or "")
    assert "too full of ink" in (ood_warning(block, 0, 0.99) or "")
    assert "does not look like one digit" in (ood_warning(DIGITS[3], 0, 0.59) or "")
    assert ood_warning(block // 2, 0, 0.99) is None  # faint ink does not fill
    block[4:24, 4:14] = 0
    assert ood_warning(block, 0, 0.99) is None


def test_doubts_of_the_preparation_are_warned_of() -> None:
    digit = DIGITS[3]
    assert ood_warning(digit, 0, 0.99, doubtful=True) == "the shape does not look like one digit"
    assert ood_warning(digit, 0, 0.99, stripe=True) == "the shape is a stripe from border to border"


@pytest.mark.parametrize(("tilt", "warned"), [(0, False), (40, False), (60, True), (-35, True)])
def test_a_bar_that_leans_too_far_is_no_one(tilt: float, warned: bool) -> None:
    page = Image.new("L", (28, 28))
    ImageDraw.Draw(page).line((14, 4, 14, 23), fill=255, width=3)
    bar = np.asarray(page.rotate(-tilt, Image.Resampling.BILINEAR))
    assert bar_tilt(bar) == pytest.approx(tilt, abs=2)
    assert (ood_warning(bar, 0, 0.99, label="1") == "the shape is a slanting line") is warned
    assert ood_warning(bar, 0, 0.99, label="7") is None
    assert bar_tilt(DIGITS[3]) is None


def test_for_other_classes_only_doubts_about_the_answer_count() -> None:
    full = np.full((28, 28), 255, np.uint8)
    assert ood_warning(full, 0, 0.99, ("Bag", "Coat")) is None
    assert ood_warning(full, 0, 0.99, ("Bag", "Coat"), stripe=True) is None
    assert ood_warning(full, 0, 0.99, ("Bag", "Coat"), doubtful=True) == "the answer is unsure"
    assert ood_warning(full, 0, 0.59, ("Bag", "Coat")) == "the answer is unsure"
    assert "2 separate shapes" in (ood_warning(full, 1, 0.99, ("A", "B")) or "")
    assert "too full of ink" in (ood_warning(full, 0, 0.99, ("3", "5")) or "")


def test_a_filled_shape_has_a_warning_unless_the_answer_is_sure() -> None:
    y, x = np.mgrid[:28, :28] - 13.5
    ellipse = (255 * ((x / 5) ** 2 + (y / 10) ** 2 < 1)).astype(np.uint8)  # looks like a 1
    assert ood_warning(ellipse, 0, 0.9) == "the shape is filled rather than made of strokes"
    assert ood_warning(ellipse, 0, 0.995) is None
    stroke = (255 * ((np.abs(x) < 3) & (np.abs(y) < 10))).astype(np.uint8)
    assert ood_warning(stroke, 0, 0.9) is None
    ring = (255 * (np.abs(np.hypot(x, y) - 7) < 2.5)).astype(np.uint8)
    assert ood_warning(ring, 0, 0.9) is None
    assert ood_warning(np.zeros((28, 28), np.uint8), 0, 0.9) is None


@pytest.mark.usefixtures("checkpoint")
def test_the_warning_in_json_and_on_standard_error(run: Run) -> None:
    save_digit(Path("3.png"), 3)
    side_by_side("two\n.png", 3, 5)
    result = run("predict", "3.png", "two\n.png", "--json")
    one, two = map(json.loads, result.stdout.splitlines())
    assert one["warning"] is None
    assert two["warning"] == "there are 2 separate shapes, and one of them is read"
    assert two["digit"] in (3, 5)
    notes = result.stderr.splitlines()
    assert notes[1:] == [f"digitcli: two\\n.png: {two['warning']}; predict --multi reads them all"]
    assert result.exit_code == 0  # a warning is not an error
    assert run("predict", "two\n.png", "--quiet").stderr.splitlines() == notes[1:]
    assert "separate" not in run("predict", "two\n.png").stdout


@pytest.mark.usefixtures("checkpoint")
def test_a_blank_picture_has_no_digit(run: Run) -> None:
    Image.new("L", (50, 50), 200).save("blank.png")
    for flags in ([], ["--json"], ["--quiet"]):
        result = run("predict", "blank.png", *flags)
        assert result.exit_code == 1
        if flags == ["--json"]:
            record = json.loads(result.stdout)
            assert (record["digit"], record["error"]) == (None, "the image is blank")
        else:
            assert result.stdout == ""
        assert result.stderr.splitlines() == [
            "digitcli: error: blank.png: the image is blank; "
            "draw a digit, dark on light or light on dark"
        ]
    assert run("predict", "missing.png").exit_code == 2
    assert run("predict", "blank.png", "missing.png").exit_code == 1
    result = run("inspect-softmax", "blank.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "blank.png: the image is blank" in result.stderr
    assert run("inspect-softmax", "missing.png").exit_code == 2


def test_an_error_keeps_its_class_when_the_picture_is_named() -> None:
    blank = BlankPictureError().with_name("a.png")
    assert isinstance(blank, BlankPictureError)
    assert blank.exit_code == 1
    assert str(blank).startswith("a.png: the image is blank")
    other = NotAPictureError("not an image", "give one").with_name("b")
    assert isinstance(other, NotAPictureError)
    assert other.exit_code == PictureError("").exit_code == 2


def test_several_shapes_never_reach_a_minimum_probability(run: Run) -> None:
    side_by_side("2.png", 1, 2)
    plain = run("predict", "2.png")
    assert plain.exit_code == 0
    sure = run("predict", "2.png", "--min-probability", "0.01")
    assert (sure.exit_code, sure.stdout.split("\t")[1]) == (1, "?")


def test_inspect_softmax_prints_the_warning_of_predict(run: Run) -> None:
    side_by_side("2.png", 1, 2)
    told = run("inspect-softmax", "2.png").stderr
    assert "2.png: there are 2 separate shapes, and one of them is read; predict --multi" in told
    assert "--split" not in told  # not an option of inspect-softmax
