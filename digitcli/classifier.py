"""The digits in pictures, read by a checkpoint: for programs, and for digitcli's own commands."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Checkpoint, load_named
from digitcli.core.checkpointing.locate import CHECKPOINT_VARIABLE
from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.errors import BlankPictureError, CheckpointError, PictureError
from digitcli.core.evaluation.ood import doubt
from digitcli.core.inference import forward, probabilities
from digitcli.data.arrays import Gray
from digitcli.data.images.inputs import PictureLike, as_source
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.pipeline import ImageSource, prepare_all
from digitcli.data.preprocessing.full_frame import FULL_FRAME_DATASETS, prepare_full_frame
from digitcli.data.preprocessing.mnist_form import Prepare, PreparedDigit, prepare
from digitcli.data.segmentation.oversegment import oversegment
from digitcli.data.segmentation.viterbi import SegmentedDigit, find_digits
from digitcli.predictions import Box, PlacedDigit, Prediction, Reading

__all__ = ["Box", "Classifier", "PlacedDigit", "Prediction", "Reading"]

Pictures = npt.NDArray[np.uint8]
Answer = TypeVar("Answer", Prediction, Reading)


class Classifier:
    """Reads handwritten digits with the weights of a checkpoint, in NumPy alone.

    >>> classifier = Classifier.load()
    >>> classifier.predict("image.png").label
    '7'

    Args:
        checkpoint: Weights and what belongs to them.
        path: Where they come from.

    Attributes:
        path: Where the weights come from.
    """

    def __init__(self, checkpoint: Checkpoint, path: Path) -> None:
        self.path = path
        self._checkpoint = checkpoint

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Reads a checkpoint, looked for as the commands look for theirs.

        Args:
            path: A checkpoint, or the text ``"pretrained"`` for digitcli's own. None for that of
                the variable ``DIGITCLI_CHECKPOINT``, else ``checkpoints/latest.safetensors`` in
                the current folder, else digitcli's own.

        Raises:
            CheckpointError: It is missing, damaged, or not a checkpoint of digitcli's.
        """
        named = path if path is not None else os.environ.get(CHECKPOINT_VARIABLE) or None
        found, checkpoint = load_named(named)
        return cls(checkpoint, found)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return self._checkpoint.metadata.classes

    @property
    def metadata(self) -> Metadata:
        """What the checkpoint says of itself."""
        return self._checkpoint.metadata

    @property
    def prepare(self) -> Prepare:
        """How pictures are brought to the form of those that the network was trained on."""
        return prepare_full_frame if self.metadata.dataset in FULL_FRAME_DATASETS else prepare

    def __repr__(self) -> str:
        return f"{type(self).__name__}.load({str(self.path)!r})"

    def predict(self, picture: PictureLike) -> Prediction:
        """Reads the digit in one picture, which is prepared as MNIST's digits were.

        Args:
            picture: A path, a file's content, a file open in binary mode, a Pillow picture, or an
                array as ``digitcli.data.images.inputs.grey_array`` takes.

        Raises:
            PictureError: It cannot be read; ``NotAPictureError`` and ``BlankPictureError`` where
                the content is no picture, and where the picture shows nothing.
            TypeError: ``picture`` is of none of these types.
        """
        (answer,) = self.predict_many([picture])
        if isinstance(answer, PictureError):
            raise answer
        return answer

    def predict_many(self, pictures: Iterable[PictureLike]) -> Iterator[Prediction | PictureError]:
        """Reads the digits in many pictures, large ones on several cores, at even memory.

        Args:
            pictures: As for ``predict``; an array of uint8 (count, 28, 28) is such, for one. They
                are drawn as they are needed, some of them ahead of the answers.

        Yields:
            An answer for each, in the order of the pictures. Where a picture cannot be read, its
            fault is in its place, and the others go on.

        Raises:
            TypeError: One of them is of no type that a picture can be in.
        """
        return _of_many(self.predict_sources, pictures)

    def predict_sources(
        self, sources: Iterable[ImageSource | None], max_pixels: int = MAX_PIXELS
    ) -> Iterator[tuple[ImageSource, Prediction | PictureError]]:
        """Reads the digits in pictures with names, as the command line does.

        Args:
            sources: As ``digitcli.data.images.pipeline.prepare_all`` takes them.
            max_pixels: Pixels that may be decoded of a picture.

        Yields:
            Each source with its answer or its fault, in their order.
        """
        for batch in prepare_all(sources, self.prepare, max_pixels):
            digits = [digit for _, digit in batch if not isinstance(digit, PictureError)]
            answers = iter(self._answer(digits))
            for source, digit in batch:
                yield source, digit if isinstance(digit, PictureError) else next(answers)

    def read(self, picture: PictureLike) -> Reading:
        """Reads all digits in one picture: a postcode, a meter, a page of boxes.

        It is taken apart where digits are, and each is prepared as ``predict`` does. Digits that
        touch are parted where the network sees them best; a single digit stays one.

        Args:
            picture: As for ``predict``.

        Raises:
            PictureError: As ``predict`` does.
            TypeError: ``picture`` is of no type that a picture can be in.
            CheckpointError: The network was trained on pictures that are read as a whole.
        """
        (answer,) = self.read_many([picture])
        if isinstance(answer, PictureError):
            raise answer
        return answer

    def read_many(self, pictures: Iterable[PictureLike]) -> Iterator[Reading | PictureError]:
        """Reads all digits in many pictures, as ``predict_many`` reads one in each."""
        return _of_many(self.read_sources, pictures)

    def read_sources(
        self, sources: Iterable[ImageSource | None], max_pixels: int = MAX_PIXELS
    ) -> Iterator[tuple[ImageSource, Reading | PictureError]]:
        """Reads all digits in pictures with names, as ``predict_sources`` reads one in each.

        Raises:
            CheckpointError: The network was trained on pictures that are read as a whole.
        """
        if self.metadata.dataset in FULL_FRAME_DATASETS:
            raise CheckpointError(
                f"the weights {self.path} were trained on {self.metadata.dataset}, whose pictures "
                "cannot be taken apart",
                "read one thing in each, or give other weights by --checkpoint",
            )
        for batch in prepare_all(sources, self._find, max_pixels):
            for source, found in batch:
                if isinstance(found, PictureError):
                    yield source, found
                else:
                    digits, reduced = found
                    yield (
                        source,
                        Reading(tuple(self._placed(d, reduced, source.size) for d in digits)),
                    )

    def _find(self, grey: Gray) -> tuple[list[SegmentedDigit], tuple[int, int]]:
        """Finds digits, and says how wide and high the picture was that their boxes are of."""
        found = find_digits(oversegment(grey), self.probabilities, self.classes)
        if not found:
            raise BlankPictureError
        return found, (grey.shape[1], grey.shape[0])

    def _placed(
        self, found: SegmentedDigit, reduced: tuple[int, int], size: tuple[int, int]
    ) -> PlacedDigit:
        left, top, right, bottom = found.box
        (across, down), (width, height) = reduced, size
        box = Box(  # whole pixels: those that have any of it
            left * width // across,
            top * height // down,
            -(-right * width // across),
            -(-bottom * height // down),
        )
        prediction = self._prediction(PreparedDigit(found.image), found.probabilities.tolist())
        return PlacedDigit(prediction, box, found.row)

    def _answer(self, digits: list[PreparedDigit]) -> list[Prediction]:
        if not digits:
            return []
        rows = self.probabilities(np.stack([digit.image for digit in digits])).tolist()
        return [self._prediction(digit, row) for digit, row in zip(digits, rows, strict=True)]

    def _prediction(self, digit: PreparedDigit, row: list[float]) -> Prediction:
        probability = max(row)
        return Prediction(
            label=self.classes[row.index(probability)],
            probability=probability,
            probabilities=dict(zip(self.classes, row, strict=True)),
            warning=doubt(digit.image, digit.others, probability, self.classes),
            others=digit.others,
            picture=digit.image,
        )

    def scores(self, pictures: Pictures) -> npt.NDArray[np.float32]:
        """Returns the network's scores (logits) for pictures that are in MNIST's form already.

        Args:
            pictures: uint8 (count, 28, 28), ink light on black.

        Returns:
            float32 (count, classes).

        Raises:
            PictureError: The array is of another shape or type.
        """
        return forward(self._checkpoint, _checked(pictures))

    def probabilities(self, pictures: Pictures) -> npt.NDArray[np.float64]:
        """Returns the classes' probabilities for pictures that are in MNIST's form already.

        Args:
            pictures: uint8 (count, 28, 28), ink light on black.

        Returns:
            float64 (count, classes), at the checkpoint's temperature; each row sums to one.

        Raises:
            PictureError: The array is of another shape or type.
        """
        return probabilities(self._checkpoint, _checked(pictures))


def _of_many(
    read: Callable[[Iterable[ImageSource]], Iterator[tuple[ImageSource, Answer | PictureError]]],
    pictures: Iterable[PictureLike],
) -> Iterator[Answer | PictureError]:
    if isinstance(pictures, str | bytes | os.PathLike):
        raise TypeError("several pictures are read here; give one to predict or to read")
    for source, answer in read(map(as_source, pictures)):
        if isinstance(answer, PictureError) and source.name:
            yield answer.of(source.name)
        else:
            yield answer


def _checked(pictures: Pictures) -> Pictures:
    if pictures.dtype != np.uint8 or pictures.ndim != 3 or pictures.shape[1:] != (28, 28):
        raise PictureError(
            f"an array of {pictures.dtype} and shape {pictures.shape} is not in MNIST's form",
            "give uint8 (count, 28, 28), or other pictures to predict_many",
        )
    return pictures
