"""Which of an image's components are the digit: neighbors, frames, dust, and the stroke width."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.ndimage
from drawn_digits import as_grey, draw_digit, drawn_pictures, likeness, prepared
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw
from traced_digits import Place, drawn, penned, trace

from digitcli.data.preprocessing.components import find_components, find_digit, stroke_width
from digitcli.data.preprocessing.mnist_form import prepare, thicken

SIDE = 240


def drawing(digit: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = draw_digit(digit, size=SIDE, scale=0.5)
    return image, ImageDraw.Draw(image)


def blocks(*boxes: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    """Fills rectangles, each top, left, height and width, with ink."""
    ink = np.zeros((SIDE, SIDE), np.float32)
    for top, left, height, width in boxes:
        ink[top : top + height, left : left + width] = 1
    return ink


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: hnp.arrays(np.bool_, s)),
)
@settings(max_examples=300)
def test_components_are_those_of_scipy(mask: npt.NDArray[np.bool_]) -> None:
    ink = np.random.default_rng(0).random(mask.shape, np.float32)
    components = find_components(mask, ink)
    expected, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    assert len(components.mass) == count
    assert components.labels.max() == count
    assert ((components.labels == 0) == ~mask).all()
    masses = scipy.ndimage.sum_labels(ink, expected, np.arange(1, count + 1))
    assert components.mass == pytest.approx(np.sort(masses)[::-1])
    boxes = scipy.ndimage.find_objects(expected)
    for label in range(1, count + 1):
        rows, columns = boxes[label - 1]
        (component,) = np.unique(
            components.labels[expected == label]
        )  # one label for one component
        assert (components.labels == component).sum() == (expected == label).sum()
        box = (columns.start, rows.start, columns.stop, rows.stop)
        assert tuple(components.boxes[component - 1]) == box


# Components of one digit


def test_a_fives_bar_belongs_to_it() -> None:
    five = ((74, 90, 46, 4), (116, 90, 4, 50), (116, 136, 60, 4), (172, 90, 4, 50))
    bar, far = (56, 96, 4, 44), (20, 96, 4, 48)
    ink = blocks(*five, bar)
    mask, others, coverage = find_digit(ink, ink > 0)
    assert (mask == (ink > 0)).all()
    assert (others, coverage) == (0, 1)
    ink = blocks(*five, far)
    mask, *_ = find_digit(ink, ink > 0)
    assert (mask == (blocks(*five) > 0)).all()


def test_broken_strokes_belong_together() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    kept = (rows % 14 >= 3) & (columns % 14 >= 3)
    for digit in range(10):
        grey = np.where(kept, as_grey(drawing(digit)[0]), np.float32(1))
        found = prepare(grey)
        nearest, distance = likeness(found.image)
        assert nearest == digit
        assert distance < 25
        assert found.others == 0


def test_a_dotted_line_is_one_shape() -> None:
    bar = [(x, 60) for x in range(80, 160, 13)]
    stem = [(153 - 4 * i, 60 + 13 * i) for i in range(1, 10)]
    dots, line = Image.new("L", (SIDE, SIDE), 255), Image.new("L", (SIDE, SIDE), 255)
    for x, y in bar + stem:
        ImageDraw.Draw(dots).ellipse((x - 4, y - 4, x + 4, y + 4), fill=0)
    ImageDraw.Draw(line).line([bar[0], bar[-1], stem[-1]], fill=0, width=10)
    found = prepare(as_grey(dots))
    assert np.abs(found.image - prepared(as_grey(line)).astype(float)).mean() < 22
    assert found.others == 0


DIGITS, _ = drawn_pictures(10, 4)


@pytest.mark.parametrize("number", range(10))
def test_thin_strokes_come_out_like_usual_ones(number: int) -> None:
    traced = trace(DIGITS[number])
    thin, usual = (
        prepared(1 - drawn(traced, penned(traced, pen), (400, 400), Place(200, (200, 200), 0)))
        for pen in (0.02, 0.105)
    )
    assert np.abs(thin - usual.astype(float)).mean() < 11


@pytest.mark.parametrize("pen", [3, 8, 20])
def test_the_width_of_a_stroke(pen: int) -> None:
    assert stroke_width(blocks((20, 100, 200, pen))) == pytest.approx(pen, rel=0.12)
    ring = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(ring).ellipse((20, 20, 220, 220), outline=255, width=pen)
    assert stroke_width(as_grey(ring)) == pytest.approx(pen, rel=0.25)
    assert stroke_width(np.zeros((5, 5), np.float32)) == 0


def test_only_thin_strokes_are_thickened() -> None:
    thin = blocks((20, 100, 200, 4))[20:220, 90:114]
    wide = thicken(thin)
    assert (wide[len(wide) // 2] > 0.5).sum() * 20 / len(wide) == pytest.approx(2.1, rel=0.2)
    usual = blocks((20, 100, 200, 25))[20:220, 90:135]
    assert thicken(usual) is usual


# Other ink than the digit


def test_specks_are_left_out() -> None:
    for digit in range(10):
        image, draw = drawing(digit)
        for x, y in np.random.default_rng(digit).uniform(5, SIDE - 5, (30, 2)):
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=0)
        found = prepare(as_grey(image))
        nearest, distance = likeness(found.image)
        assert nearest == digit
        assert distance < 15
        assert found.others == 0


@pytest.mark.parametrize("pen", [1, 6])
def test_a_frame_is_left_out(pen: int) -> None:
    for digit in range(10):
        image, draw = drawing(digit)
        draw.polygon([(50, 42), (193, 46), (190, 199), (46, 196)], outline=0, width=pen)
        found = prepare(as_grey(image))
        nearest, distance = likeness(found.image)
        assert nearest == digit
        assert distance < 15
        assert found.others == 0


def test_a_zero_around_a_dot_is_not_a_frame() -> None:
    image, draw = drawing(0)
    draw.ellipse((112, 100, 128, 140), fill=0)
    ink = 1 - as_grey(image)
    mask, *_ = find_digit(ink, ink > 0.5)
    assert mask.sum() == (ink > 0.5).sum()


def test_a_neighbor_cut_by_the_border_is_left_out() -> None:
    for digit in range(10):
        image, draw = drawing(digit)
        draw.ellipse((SIDE - 40, 70, SIDE + 60, 170), outline=0, width=20)
        found = prepare(as_grey(image))
        nearest, distance = likeness(found.image)
        assert nearest == digit
        assert distance < 15
        assert found.others == 0


def test_a_digit_that_touches_the_border_is_read() -> None:
    for digit in range(10):
        left = np.flatnonzero((as_grey(drawing(digit)[0]) < 0.5).any(axis=0))[0]
        nearest, distance = likeness(prepared(as_grey(drawing(digit)[0])[:, left:]))
        assert nearest == digit
        assert distance < 15


@pytest.mark.parametrize("count", [2, 3])
def test_whole_shapes_beside_the_digit_are_counted(count: int) -> None:
    for digit in range(10):
        grey = np.concatenate([as_grey(drawing((digit + i) % 10)[0]) for i in range(count)], axis=1)
        assert prepare(grey).others == count - 1
    dust = blocks((60, 90, 120, 20), (30, 30, 10, 10), (200, 200, 12, 12))
    assert prepare(1 - dust).others == 0


# Small digits in large images


def test_a_tiny_digit_is_searched_for_again_at_full_resolution() -> None:
    grain = np.random.default_rng(0).standard_normal((1900, 1400), np.float32)
    for digit in range(10):
        grey = 0.9 + np.float32(0.03) * grain
        grey[300:400, 1200:1300] *= as_grey(draw_digit(digit, size=100, ink=50))
        nearest, distance = likeness(prepared(grey))
        assert nearest == digit
        assert distance < 14


def test_a_digit_at_the_end_of_a_long_strip() -> None:
    for height, width in ((40, 1990), (27, 1990), (60, 5000)):
        grey = np.ones((height, width), np.float32)
        grey[:, -height:] = as_grey(draw_digit(5, size=height))
        nearest, distance = likeness(prepared(grey))
        assert nearest == 5
        assert distance < 15
