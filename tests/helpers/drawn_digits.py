"""Small data sets of the tests' own: digits drawn with Pillow's font, shifted and turned."""

import functools
import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcli.data.datasets import outliers as outliers_module
from digitcli.data.datasets import synthetic as synthetic_module
from digitcli.data.download.manifest import DataFile
from digitcli.data.preprocessing.mnist_form import prepare

if TYPE_CHECKING:
    from digitcli.core.training.data import TrainingData

FEW_OUTLIERS = 116
"""Non-digits in a training run of the tests, four of each kind (all take ten seconds to make)."""

FEW_SYNTHETIC = 12
"""Synthetic images of each digit in a training run of the tests."""


def draw_digit(
    digit: int,
    *,
    size: int = 64,
    ink: int = 0,
    paper: int = 255,
    scale: float = 0.7,
    angle: float = 0,
    shift: tuple[float, float] = (0, 0),
) -> Image.Image:
    """Draws a digit as somebody might in a paint program: dark on light, unless told otherwise."""
    mask = Image.new("L", (size, size))
    font = ImageFont.load_default(size * scale)
    middle = (size * (0.5 + shift[0]), size * (0.5 + shift[1]))
    ImageDraw.Draw(mask).text(middle, str(digit), 255, font, anchor="mm")
    mask = mask.rotate(angle, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("L", mask.size, ink), Image.new("L", mask.size, paper), mask)


def save_digit(path: Path, digit: int) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    draw_digit(digit).save(path)
    return path


def as_grey(image: Image.Image) -> npt.NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def prepared(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Returns a grey picture in MNIST form, uint8 (28, 28)."""
    return prepare(grey).image


@functools.cache
def references() -> tuple[npt.NDArray[np.uint8], ...]:
    """Returns the ten digits in MNIST form, from clean drawings."""
    return tuple(prepared(as_grey(draw_digit(d, size=200, scale=0.5))) for d in range(10))


def likeness(picture: npt.NDArray[np.uint8]) -> tuple[int, float]:
    """Returns the digit that an image is nearest to.

    Returns:
        The digit, and the mean absolute difference to it in grey levels. Rounded to whole pixels,
        a digit may come out one pixel away, which is not counted.
    """
    pixels = picture.astype(float)
    places = [np.roll(pixels, (y, x), axis=(0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    distances = [min(float(np.abs(p - r).mean()) for p in places) for r in references()]
    nearest = int(np.argmin(distances))
    return nearest, distances[nearest]


def drawn_pictures(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draws digits in MNIST form, equally many of each.

    Returns:
        uint8 (count, 28, 28), and their labels.
    """
    images, labels = _drawn(count, seed)
    return images.copy(), labels.copy()


@functools.cache
def _drawn(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    rng.shuffle(labels)
    images = [
        prepared(
            as_grey(
                draw_digit(
                    int(label),
                    scale=rng.uniform(0.5, 0.8),
                    angle=rng.uniform(-15, 15),
                    shift=(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)),
                )
            )
        )
        for label in labels
    ]
    return np.stack(images), labels


def drawn_data(
    train: int = 100, scored: int = 50, *, seed: int = 1, outliers: int = 0, synthetic: int = 0
) -> "TrainingData":
    """What a run learns from: drawn digits that pass for MNIST's, and pictures of none."""
    from digitcli.core.training.data import TrainingData  # imports torch, which takes seconds

    train_images, train_labels = drawn_pictures(train, seed)
    scored_images, scored_labels = drawn_pictures(scored, seed + 1)
    made = None
    if outliers:
        with mock.patch.object(outliers_module, "_COUNT", outliers):
            made = outliers_module.make_outliers(train_images, train_labels, seed=0)
    classes = tuple("0123456789")
    digits, labels = None, None
    if synthetic:
        with mock.patch.object(synthetic_module, "_PER_DIGIT", synthetic // 10):
            digits, labels = synthetic_module.make_synthetic(classes, seed=0)
    return TrainingData(
        name="mnist",
        classes=classes,
        mean=0.1307,
        std=0.3081,
        train_images=train_images,
        train_labels=train_labels,
        scored_images=scored_images,
        scored_labels=scored_labels,
        outliers=made,
        synthetic_images=digits,
        synthetic_labels=labels,
    )


@dataclass(frozen=True)
class SmallMnist:
    """Four archives as a mirror would serve them, and what their checksums are."""

    folder: Path
    files: tuple[DataFile, ...]


def write_small_mnist(folder: Path, *, train: int = 600, test: int = 200) -> SmallMnist:
    folder.mkdir(parents=True)
    files = []
    for prefix, count, seed in (("train", train, 1), ("t10k", test, 2)):
        images, labels = drawn_pictures(count, seed)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            extracted = header + array.tobytes()
            archive = gzip.compress(extracted, mtime=0)
            name = f"{prefix}-{kind}-ubyte"
            (folder / f"{name}.gz").write_bytes(archive)
            files.append(DataFile(name, md5(archive), md5(extracted)))
    return SmallMnist(folder, tuple(files))


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
