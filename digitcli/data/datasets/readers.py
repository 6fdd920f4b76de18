"""Reading MNIST, and the sets that were made in its form or can be brought to it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcli.data.arrays import Image28
from digitcli.data.datasets.split import Split
from digitcli.data.download.manifest import FILE_SETS, Bytes, read_content
from digitcli.data.preprocessing.mnist_form import center_by_mass, crop, fit

Labels = npt.NDArray[np.int64]


def read_split(data_dir: Path, split: str, dataset: str = "mnist") -> Split | None:
    """Reads the training or the test set, checking every byte.

    Args:
        data_dir: Folder that holds ``MNIST/raw`` and the like.
        split: "train" or "test".
        dataset: One of ``FILE_SETS``.

    Returns:
        The pictures, or None where a file is missing or is not what it should be.

    Raises:
        DatasetError: A file is there but cannot be read.
    """
    files = FILE_SETS[dataset]
    contents = [read_content(files.folder(data_dir), file) for file in files.of(split)]
    sound = [content for content in contents if content is not None]
    if len(sound) < len(contents):
        return None
    images, labels = _parse_usps(*sound) if dataset == "usps" else _parse_idx(*sound)
    checksums = {
        file.name if file.md5 else file.archive: f"md5:{file.md5 or file.archive_md5}"
        for file in files.of(split)
    }
    return Split(images, labels, checksums)


def _parse_idx(images: Bytes, labels: Bytes) -> tuple[Image28, Labels]:
    """Reads a file of pictures and a file of labels.

    QMNIST has eight numbers to a picture, of which the class is the first (Yadav and Bottou 2019).
    """
    classes = _idx_array(labels).astype(np.int64)
    return _idx_array(images), classes if classes.ndim == 1 else classes[:, 0]


_IDX_TYPES = {8: ">u1", 12: ">i4"}


def _idx_array(data: Bytes) -> npt.NDArray[np.uint8]:
    """Gives the bytes of an IDX file their type and shape, bytes three and four say (LeCun)."""
    dimensions = int(data[3])
    header = 4 * (1 + dimensions)
    values = data[header:].view(_IDX_TYPES[int(data[2])])
    return values.reshape(data[4:header].view(">u4"))


def _parse_usps(text: Bytes) -> tuple[Image28, Labels]:
    """Reads USPS as libsvm has it: a line per digit, its class from 1, then INDEX:VALUE 256 times.

    The values are of 16x16 pixels, -1 for paper and 1 for ink. The ink fills that box, and is
    scaled to fill MNIST's 20x20 as ``predict`` does it: bicubic, centred by mass in 28x28.
    """
    numbers = np.fromstring(text.tobytes().replace(b":", b" ").decode(), sep=" ")
    rows = numbers.reshape(-1, 1 + 2 * 16 * 16)
    ink = ((rows[:, 2::2] + 1) / 2).astype(np.float32).reshape(-1, 16, 16)
    return np.stack([center_by_mass(fit(crop(digit))) for digit in ink]), rows[:, 0].astype(
        np.int64
    ) - 1
