"""The drawing of ``digitcli predict --split --show-steps``."""

import contextlib
from pathlib import Path

from digitcli.answers import Reading
from digitcli.classifier import Classifier
from digitcli.core.errors import PictureError
from digitcli.data.marked import Mark, draw_marks
from digitcli.data.pictures import read_picture
from digitcli.data.reading import Source
from digitcli.data.steps import save_drawing


def draw_places(classifier: Classifier, image: str, path: Path, max_pixels: int) -> None:
    """Draws where the digits of a picture were found, if it can be read.

    Args:
        classifier: What reads it.
        image: The picture's file.
        path: The drawing's.
        max_pixels: Pixels that may be decoded of the picture.

    Raises:
        DigitcliError: The drawing cannot be written.
    """
    with contextlib.suppress(PictureError):  # what is wrong was told with the answer
        grey = read_picture(Path(image), max_pixels)
        source = Source(image, Path(image))
        ((source, answer),) = classifier.read_sources([source], max_pixels)
        marks = []
        for placed in answer.digits if isinstance(answer, Reading) else ():
            read = placed.prediction
            caption = f"{read.label} {read.probability:.1%}"
            marks.append(Mark(placed.box, caption, read.picture))
        save_drawing(draw_marks(grey, source.size, marks), path)
