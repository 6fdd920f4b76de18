"""Reading images of which some end the process that reads them, as a lack of memory does."""

import os
import signal
from collections.abc import Iterable, Iterator

from digitcli.classifier import Classifier
from digitcli.data.images.source import ImageSource
from digitcli.predictions import Prediction
from digitcli.processes import Result


def read(
    classifier: Classifier, groups: Iterable[Iterable[ImageSource]], max_pixels: int
) -> Iterator[Result[Prediction]]:
    """Reads images as ``Classifier.predict_sources``; one named "deadly" kills the process."""

    def checked(group: Iterable[ImageSource]) -> Iterator[ImageSource]:
        for source in group:
            if source.name.endswith("deadly.png"):
                os.kill(os.getpid(), signal.SIGKILL)
            yield source

    yield from classifier.predict_sources(map(checked, groups), max_pixels)
