"""Reading the files of published data sets: MNIST, and sets of its form or brought to it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Image28
from digitcli.data.datasets.split import Split
from digitcli.data.download.manifest import PUBLISHED, Bytes, read_extracted
from digitcli.data.preprocessing.mnist_form import center_by_mass, crop, fit

ClassIndices = npt.NDArray[np.int64]


def read_split(data_dir: Path, split: str, dataset: str = "mnist") -> Split | None:
    """Reads the "train" or "test" split of a data set in ``PUBLISHED``, verifying every file.

    Returns:
        The split; None if a file is missing or damaged.

    Raises:
        DatasetError: A file is present but cannot be read.
    """
    published = PUBLISHED[dataset]
    files = published.split_files(split)
    contents = [read_extracted(published.folder(data_dir), file) for file in files]
    valid = [content for content in contents if content is not None]
    if len(valid) < len(contents):
        return None
    images, labels = _PARSERS[published.format](*valid)
    return Split(images, labels, {file.read_name: f"md5:{file.read_md5}" for file in files})


def _parse_idx(images: Bytes, labels: Bytes) -> tuple[Image28, ClassIndices]:
    """Parses a file of images and a file of labels.

    QMNIST has eight numbers per image, of which the first is the class (Yadav and Bottou 2019).
    """
    classes = _idx_array(labels).astype(np.int64)
    return _idx_array(images), classes if classes.ndim == 1 else classes[:, 0]


def _idx_array(data: Bytes) -> npt.NDArray[np.uint8]:
    """Parses the IDX format (LeCun): byte 2 has the type, byte 3 the dimensions, then the shape."""
    dimensions = int(data[3])
    header = 4 * (1 + dimensions)
    values = data[header:].view({8: ">u1", 12: ">i4"}[int(data[2])])
    return values.reshape(data[4:header].view(">u4"))


def _parse_usps(text: Bytes) -> tuple[Image28, ClassIndices]:
    """Parses USPS in libsvm's format: per line a class from 1 to 10, and INDEX:VALUE 256 times.

    The values are 16x16 pixels, -1 for background and 1 for ink. The ink fills that box, and is
    scaled to MNIST's 20x20 as ``predict`` does: bicubic, centered by mass in 28x28.
    """
    numbers = np.fromstring(text.tobytes().replace(b":", b" ").decode(), sep=" ")
    rows = numbers.reshape(-1, 1 + 2 * 16 * 16)
    ink = ((rows[:, 2::2] + 1) / 2).astype(np.float32).reshape(-1, 16, 16)
    return np.stack([center_by_mass(fit(crop(digit))) for digit in ink]), rows[:, 0].astype(
        np.int64
    ) - 1


_PARSERS: dict[str, Callable[..., tuple[Image28, ClassIndices]]] = {
    "idx": _parse_idx,
    "libsvm": _parse_usps,
}
