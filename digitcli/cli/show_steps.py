"""The drawings of ``digitcli predict --show-steps``: how a picture was read."""

from pathlib import Path

from digitcli.classifier import Classifier
from digitcli.core.errors import PictureError
from digitcli.data.arrays import Gray
from digitcli.data.images.grayscale import read_picture
from digitcli.data.images.pipeline import ImageSource
from digitcli.predictions import Prediction, Reading
from digitcli.report.box_drawing import Mark, draw_marks
from digitcli.report.step_drawing import Steps, save_drawing
from digitcli.text import below_one


def draw_answer(
    classifier: Classifier,
    source: ImageSource,
    answer: Prediction | Reading | PictureError,
    path: Path,
    max_pixels: int,
    *,
    multi: bool,
) -> None:
    """Draws how a picture was prepared, as far as that went, or where its digits were found.

    Args:
        classifier: What read it.
        source: The picture, a file. It is decoded once more, as its pixels are kept nowhere.
        answer: What it was read as. Of a fault nothing more is told here than was with the answer.
        path: The drawing's file.
        max_pixels: Pixels that may be decoded of the picture.
        multi: Whether several digits were looked for in it.

    Raises:
        PictureError: It was read, and cannot be any more.
        DigitcliError: The drawing cannot be written.
    """
    if not all(source.size):
        return  # it could not be decoded
    try:
        grey = read_picture(Path(source.name), max_pixels)
        if multi:
            _draw_places(grey, source, answer, path)
        else:
            _draw_steps(classifier, grey, path)
    except PictureError as error:
        if not isinstance(answer, PictureError):
            raise error.of(source.name) from error


def _draw_places(grey: Gray, source: ImageSource, answer: object, path: Path) -> None:
    marks = [
        Mark(digit.box, f"{read.label} {below_one(read.probability):.2%}", read.picture)
        for digit in (answer.digits if isinstance(answer, Reading) else ())
        for read in (digit.prediction,)
    ]
    save_drawing(draw_marks(grey, source.size, marks), path)


def _draw_steps(classifier: Classifier, grey: Gray, path: Path) -> None:
    steps = Steps()
    try:
        classifier.prepare(grey, steps)
    finally:  # where it is blank, what led to that
        if steps:
            steps.save(path)
