"""MNIST on disk: the four files, laid out as torchvision expects them, and checked when read."""

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcli.core.errors import DatasetError, reason
from digitcli.data.split import Split


@dataclass(frozen=True)
class IdxFile:
    """One file of the data set, in the IDX format.

    Attributes:
        name: Its name when extracted.
        md5: MD5 of the extracted file.
        archive_md5: MD5 of the archive, as published with it and used by torchvision.
    """

    name: str
    md5: str
    archive_md5: str

    @property
    def archive(self) -> str:
        """Name of the archive."""
        return f"{self.name}.gz"


FILES: tuple[IdxFile, ...] = (
    IdxFile(
        "train-images-idx3-ubyte",
        md5="6bbc9ace898e44ae57da46a324031adb",
        archive_md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        md5="a25bea736e30d166cdddb491f175f624",
        archive_md5="d53e105ee54ea40749a09fcbcd1e9432",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        md5="2646ac647ad5339dbf082846283269ea",
        archive_md5="9fb629c4189551a2d022fa330f9573f3",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        md5="27ae3e4e09519cfbb04c329615203637",
        archive_md5="ec29112dd5afa0611ce80d1b7f02629c",
    ),
)


LARGEST = 64 * 1024 * 1024
"""Bytes; the largest file of the data set has 47 million, and whatever is larger is none of it."""


def raw_folder(data_dir: Path) -> Path:
    """Returns the folder that ``torchvision.datasets.MNIST(data_dir)`` reads from."""
    return data_dir / "MNIST" / "raw"


def read_sound(path: Path, md5: str) -> npt.NDArray[np.uint8] | None:
    """Reads a file if it is there with just the expected content.

    Returns:
        Its bytes, uint8 (size,); None if the file is missing or differs, or is no plain file.

    Raises:
        DatasetError: The file is there but cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            return None  # not to be read: a pipe never ends, and neither does /dev/zero
        data: npt.NDArray[np.uint8] = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatasetError(
            f"cannot read {path}: {reason(error)}", "choose another folder with --data-dir"
        ) from error
    found = hashlib.md5(data.data, usedforsecurity=False).hexdigest()
    return data if found == md5 else None


def read_split(data_dir: Path, split: str) -> Split | None:
    """Reads the training or the test set, checking every byte.

    Args:
        data_dir: Folder that holds ``MNIST/raw``.
        split: "train" or "test".

    Returns:
        The pictures, or None where a file is missing or is not what it should be.

    Raises:
        DatasetError: A file is there but cannot be read.
    """
    images_file, labels_file = files = FILES[:2] if split == "train" else FILES[2:]
    folder = raw_folder(data_dir)
    images = read_sound(folder / images_file.name, images_file.md5)
    labels = read_sound(folder / labels_file.name, labels_file.md5)
    if images is None or labels is None:
        return None
    return Split(
        _idx_array(images),
        _idx_array(labels).astype(np.int64),
        {file.name: f"md5:{file.md5}" for file in files},
    )


def _idx_array(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Gives the bytes of an IDX file their shape; the fourth byte counts the dimensions (LeCun)."""
    dimensions = int(data[3])
    header = 4 * (1 + dimensions)
    return data[header:].reshape(data[4:header].view(">u4"))
