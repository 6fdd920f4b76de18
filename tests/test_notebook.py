"""Answers show themselves in a notebook."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from drawn_digits import draw_digit, save_digit
from PIL import Image

from digitcli.classifier import Classifier
from digitcli.data.arrays import Box
from digitcli.notebook import _MAX_DIGITS
from digitcli.predictions import PlacedDigit, Prediction, Reading

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

CELLS = (
    "from digitcli import Classifier\nclassifier = Classifier.load('pretrained')",
    "classifier.predict('seven.png')",
    "classifier.read('postcode.png')",
)


def prediction(label: str, probability: float, warning: str | None = None) -> Prediction:
    rest = {"other": 1 - probability}
    picture = np.zeros((28, 28), np.uint8)
    return Prediction(label, probability, {label: probability, **rest}, warning, 0, picture)


def test_a_notebook_shows_answers(tmp_path: Path) -> None:
    save_digit(tmp_path / "seven.png", 7)
    strip = Image.new("L", (200, 100), 255)
    strip.paste(draw_digit(9, size=100), (0, 0))
    strip.paste(draw_digit(4, size=100), (100, 0))
    strip.save(tmp_path / "postcode.png")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in CELLS])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()

    classifier = Classifier.load("pretrained")
    answers: list[Prediction | Reading] = [
        classifier.predict(tmp_path / "seven.png"),
        classifier.read(tmp_path / "postcode.png"),
    ]
    for cell, answer in zip(notebook.cells[1:], answers, strict=True):
        (output,) = cell.outputs
        assert output["data"]["text/plain"] == repr(answer)
        assert output["data"]["text/html"] == answer._repr_html_()


def test_a_prediction_shows_what_was_seen_bars_and_the_warning() -> None:
    html = prediction("7", 0.875, "it is <faint>")._repr_html_()
    Elements().feed(html)
    assert html.count("<img") == 1
    assert re.findall(r"width:([\d.]+)%", html) == ["87.50", "12.50"]
    assert "87.50&#8239;%" in html
    assert "it is &lt;faint&gt;" in html
    assert set(re.findall(r'src="([^,]+)', html)) == {"data:image/png;base64"}


def test_a_reading_shows_its_digits() -> None:
    one = PlacedDigit(prediction("7", 0.9), Box(0, 0, 9, 9), 0)
    html = Reading((one,) * 3)._repr_html_()
    assert html.count("<img") == 3
    assert ">777<" in html
    assert "72.90" in html
    long = Reading((one,) * (_MAX_DIGITS + 5))._repr_html_()
    assert long.count("<img") == _MAX_DIGITS
    assert "and 5 more" in long


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", '"><b>', "a\u202eb"])
def test_names_of_classes_are_escaped(label: str) -> None:
    seen = Elements()
    seen.feed(prediction(label, 0.5, label)._repr_html_())
    assert seen.tags <= {"div", "p", "b", "table", "tr", "th", "td", "img"}
    assert "\u202e" not in "".join(seen.texts)


def test_a_line_of_rounded_numbers() -> None:
    answer = prediction("7", 0.99999)
    assert repr(answer) == "Prediction(label='7', probability=0.9999, warning=None)"
    reading = Reading((PlacedDigit(answer, Box(0, 0, 1, 1), 0),), left_out=1)
    assert repr(reading) == (
        "Reading(text='7', probability=0.9999, warning='a shape is not read that could be a digit')"
    )


class Elements(HTMLParser):
    """The elements and texts of a document, each element closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
