"""Reading digits with the weights of a checkpoint: the interface for programs and commands."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from digitcli.core.checkpointing.checkpoint import Checkpoint, find_and_load
from digitcli.core.checkpointing.locate import CHECKPOINT_VARIABLE, PRETRAINED, is_bundled
from digitcli.core.checkpointing.metadata import Metadata
from digitcli.core.errors import BlankPictureError, CheckpointError, PictureError
from digitcli.core.evaluation.ood import ood_warning
from digitcli.core.files.home import expand_home
from digitcli.core.inference import forward, probabilities
from digitcli.data.arrays import Box, Gray, Image28
from digitcli.data.images.limits import MAX_PIXELS
from digitcli.data.images.parallel import prepare_all
from digitcli.data.images.source import ArrayLike, ImageSource, PictureLike, as_source, to_levels
from digitcli.data.preprocessing.full_frame import FULL_FRAME_DATASETS, prepare_full_frame
from digitcli.data.preprocessing.interpretations import interpret
from digitcli.data.preprocessing.mnist_form import Prepare, PreparedDigit
from digitcli.data.segmentation.readings import read_digits
from digitcli.data.segmentation.viterbi import Found, SegmentedDigit
from digitcli.predictions import PlacedDigit, Prediction, Reading

__all__ = ["Box", "Classifier", "PlacedDigit", "Prediction", "Reading"]

Answer = TypeVar("Answer", Prediction, Reading)


class Classifier:
    """Reads handwritten digits with the weights of a checkpoint; needs NumPy, not torch.

    >>> classifier = Classifier.load()
    >>> classifier.predict("image.png").label
    '7'

    Attributes:
        path: The file that the weights come from.
    """

    def __init__(self, checkpoint: Checkpoint, path: Path) -> None:
        self.path = path
        self._checkpoint = checkpoint

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Reads a checkpoint; ``"pretrained"`` names the bundled weights.

        The default is that of the commands: the variable ``DIGITCLI_CHECKPOINT``, else
        ``checkpoints/latest.safetensors``, else the bundled weights.

        Raises:
            CheckpointError: The file is missing, damaged, or not a checkpoint of digitcli.
        """
        if path is None and (variable := os.environ.get(CHECKPOINT_VARIABLE)):
            path = expand_home(variable)
        found, checkpoint = find_and_load(path)
        return cls(checkpoint, found)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return self._checkpoint.metadata.classes

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights and the metadata."""
        return self._checkpoint

    @property
    def metadata(self) -> Metadata:
        """The metadata of the checkpoint."""
        return self._checkpoint.metadata

    @property
    def prepare(self) -> Prepare:
        """The preparation that brings images to the form of the training images."""
        if self.metadata.dataset in FULL_FRAME_DATASETS:
            return prepare_full_frame
        return functools.partial(interpret, classify=self.probabilities)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as the name and the checksum of the weights: a process loads them once.

        Unpickling raises a ``CheckpointError`` if the file is missing there or has other content.
        """
        name = PRETRAINED if is_bundled(self.path) else self.path
        return _load_once, (type(self), name, _checksum(self._checkpoint))

    def __repr__(self) -> str:
        return f"{type(self).__name__}.load({str(self.path)!r})"

    def predict(self, picture: PictureLike) -> Prediction:
        """Reads the digit in one image, which is prepared as MNIST's digits were.

        Args:
            picture: A path, the content of a file, a file open in binary mode, a Pillow image, or
                an array or tensor: (height, width), (1, height, width) or (height, width,
                channels), of integers in 0..255, bool, or floats in 0..1.

        Raises:
            PictureError: The image cannot be read. ``NotAPictureError``: the content is not an
                image. ``BlankPictureError``: the image shows nothing.
            TypeError: ``picture`` has none of these types.
        """
        return _only(self.predict_many([picture]))

    def predict_many(self, pictures: Iterable[PictureLike]) -> Iterator[Prediction | PictureError]:
        """Reads the digits in many images, large ones on several cores, in constant memory.

        Args:
            pictures: Images as for ``predict``, for example an array of uint8 (count, 28, 28).
                They are drawn as needed, some ahead of the answers.

        Yields:
            The answer for each image in order, or the error if it cannot be read.

        Raises:
            TypeError: An image has none of the types that ``predict`` takes.
        """
        return _each(self.predict_sources, pictures)

    def predict_sources(
        self, groups: Iterable[Iterable[ImageSource]], max_pixels: int = MAX_PIXELS
    ) -> Iterator[tuple[ImageSource, Prediction | PictureError]]:
        """Reads the digits in named images, as the command line does.

        ``groups`` and ``max_pixels`` are as in ``digitcli.data.images.parallel.prepare_all``.

        Yields:
            Each source with its answer or its error, in order.
        """
        for batch in prepare_all(groups, self.prepare, max_pixels):
            digits = [digit for _, digit in batch if not isinstance(digit, PictureError)]
            answers = iter(self._predictions(digits))
            for source, digit in batch:
                if isinstance(digit, PictureError):
                    yield source, digit.with_remark(source.warning)
                else:
                    yield source, _with_warning(next(answers), source.warning)

    def read(self, picture: PictureLike) -> Reading:
        """Reads all digits in one image: a postcode, a meter, a form with boxes.

        The image is segmented into digits, each prepared as in ``predict``. Touching digits are
        cut where the network recognizes them best; a single digit stays whole.

        Raises:
            PictureError, TypeError: As for ``predict``.
            CheckpointError: The network was trained on images that are read as a whole.
        """
        return _only(self.read_many([picture]))

    def read_many(self, pictures: Iterable[PictureLike]) -> Iterator[Reading | PictureError]:
        """Reads all digits in many images, as ``predict_many`` reads one in each."""
        return _each(self.read_sources, pictures)

    def read_sources(
        self, groups: Iterable[Iterable[ImageSource]], max_pixels: int = MAX_PIXELS
    ) -> Iterator[tuple[ImageSource, Reading | PictureError]]:
        """Reads all digits in named images, as ``predict_sources`` reads one in each.

        Raises:
            CheckpointError: The network was trained on images that are read as a whole.
        """
        if self.metadata.dataset in FULL_FRAME_DATASETS:
            raise CheckpointError(
                f"the weights {self.path} were trained on {self.metadata.dataset}, whose images "
                "show one object each",
                "leave --multi out, or choose other weights with --checkpoint",
            )
        for batch in prepare_all(groups, self._segment, max_pixels):
            for source, found in batch:
                if isinstance(found, PictureError):
                    yield source, found.with_remark(source.warning)
                else:
                    read, shape = found
                    placed = (self._placed(digit, shape, source.size) for digit in read.digits)
                    rest = read.left_out, read.turned, source.warning
                    yield source, Reading(tuple(placed), *rest)

    def _segment(self, gray: Gray) -> tuple[Found, tuple[int, ...]]:
        """Returns the digits, and the shape of the image that their boxes refer to."""
        found = read_digits(gray, self.probabilities, self.classes)
        if not found.digits:
            raise BlankPictureError
        return found, gray.shape

    def _placed(
        self, digit: SegmentedDigit, shape: tuple[int, ...], size: tuple[int, int]
    ) -> PlacedDigit:
        left, top, right, bottom = digit.box
        (rows, columns), (width, height) = shape, size
        # A digit of a slanting line that was made upright may be a pixel wider than the image.
        right, bottom = min(right, columns), min(bottom, rows)
        box = Box(  # all pixels of the full image that the box touches
            left * width // columns,
            top * height // rows,
            -(-right * width // columns),
            -(-bottom * height // rows),
        )
        prediction = self._prediction(PreparedDigit(digit.image), digit.probabilities.tolist())
        return PlacedDigit(prediction, box, digit.row)

    def _predictions(self, digits: list[PreparedDigit]) -> list[Prediction]:
        if not digits:
            return []
        rows = self.probabilities(np.stack([digit.image for digit in digits])).tolist()
        return [self._prediction(digit, row) for digit, row in zip(digits, rows, strict=True)]

    def _prediction(self, digit: PreparedDigit, row: list[float]) -> Prediction:
        probability = max(row)
        label = self.classes[row.index(probability)]
        warning = ood_warning(
            digit.image,
            digit.others,
            probability,
            self.classes,
            label=label,
            doubtful=digit.doubtful,
            stripe=digit.stripe,
        )
        return Prediction(
            label=label,
            probability=probability,
            probabilities=dict(zip(self.classes, row, strict=True)),
            warning=warning,
            others=digit.others,
            picture=digit.image,
        )

    def scores(self, pictures: ArrayLike) -> npt.NDArray[np.float32]:
        """Returns the network's scores (logits), float32 (count, classes).

        Args:
            pictures: Images in MNIST form, light ink on black: an array or tensor of shape
                (count, 28, 28) or (count, 1, 28, 28), of integers in 0..255 or floats in 0..1,
                which are rounded to 8 bits.

        Raises:
            PictureError: The array has another shape or type, or a value out of range.
        """
        return forward(self._checkpoint, _checked(pictures))

    def probabilities(self, pictures: ArrayLike) -> npt.NDArray[np.float64]:
        """Returns the probabilities of the classes, float64 (count, classes).

        They are computed at the temperature of the checkpoint; each row sums to 1. ``pictures`` and
        the error are as for ``scores``.
        """
        return probabilities(self._checkpoint, _checked(pictures))


@functools.lru_cache(maxsize=4)
def _load_once(kind: type[Classifier], name: str | Path, checksum: str) -> Classifier:
    classifier = kind.load(name)
    if _checksum(classifier._checkpoint) != checksum:
        raise CheckpointError(
            f"the weights {classifier.path} are not those of the classifier that was sent",
            "copy its file to this machine, or start the processes again",
        )
    return classifier


def _checksum(checkpoint: Checkpoint) -> str:
    """Returns a checksum of all that decides the answers."""
    metadata = checkpoint.metadata
    total = hashlib.sha256(
        repr((metadata.classes, metadata.temperature, metadata.dataset)).encode()
    )
    for name, weight in sorted(checkpoint.weights.items()):
        total.update(name.encode() + weight.tobytes())
    return total.hexdigest()


def _only(answers: Iterator[Answer | PictureError]) -> Answer:
    (answer,) = answers
    if isinstance(answer, PictureError):
        raise answer
    return answer


def _with_warning(answer: Prediction, warning: str | None) -> Prediction:
    """Returns an answer with the warning about its file before its own."""
    if warning is None:
        return answer
    return replace(answer, warning="; ".join(filter(None, (warning, answer.warning))))


def _each(
    read: Callable[
        [Iterable[Iterable[ImageSource]]], Iterator[tuple[ImageSource, Answer | PictureError]]
    ],
    pictures: Iterable[PictureLike],
) -> Iterator[Answer | PictureError]:
    if isinstance(pictures, str | bytes | os.PathLike):
        raise TypeError("give several images here, or one to predict or read")
    for source, answer in read([map(as_source, pictures)]):
        if isinstance(answer, PictureError) and source.name:
            yield answer.with_name(source.name)
        else:
            yield answer


def _checked(pictures: ArrayLike) -> Image28:
    array = np.asarray(pictures)
    if array.shape[1:] not in ((28, 28), (1, 28, 28)):
        raise PictureError(
            f"an array of shape {array.shape} is not in MNIST's form",
            "give (count, 28, 28), or other images to predict_many",
        )
    return to_levels(array).reshape(-1, 28, 28)
